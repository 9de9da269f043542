package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/oip"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
)

// A follower keeps a server in step with the registry: which version of each model answers, and which canary and shadow it has. It is
// the repository of the Open Inference Protocol: a model that was unloaded stays out of service until it is loaded again, whatever the
// registry says.
type follower struct {
	lock   sync.Mutex
	s      *session
	server *serve.Server
	stage  assay.Stage
	refs   []string
	keep   int // how many versions that held the stage before stay
	mark   store.Mark
	looked bool
	failed bool // the last look could not do all that it should
	closed bool // the server ends
	served map[string]*served
	off    map[string]bool // names that were unloaded
}

// served is what answers for one model.
type served struct {
	live   *serve.Bound
	beside []*serve.Bound   // others that were named to the server, or held the stage before: they answer who asks for them
	extras map[string]extra // by alias
	split  *serve.Split
	trial  *serve.Trial // of the canary; outlives the split
	key    string       // of all of it
}

// extra is a canary or shadow.
type extra struct {
	version store.Version
	bound   *serve.Bound
}

// follow makes the versions answer that should, when the store has changed since it looked last. A version that cannot be bound leaves
// the one before it in place.
func (f *follower) follow(ctx context.Context) error {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.look(ctx)
}

// say tells the person at the terminal; requests to the repository do so too.
func (f *follower) say(format string, args ...any) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.s.say(format, args...)
}

func (f *follower) look(ctx context.Context) error {
	errs := []error{f.decide(ctx, false)}
	mark, err := f.s.st.Changes(ctx)
	if err != nil {
		return err
	}
	// What could not be bound may be bound after new evidence.
	if f.looked && mark.Registry == f.mark.Registry && (!f.failed || mark.Journal == f.mark.Journal) {
		return errors.Join(errs...)
	}
	want, err := f.s.wanted(ctx, f.stage, f.refs, f.keep)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, v := range want {
		if f.off[v.Name] || seen[v.Name] {
			continue
		}
		seen[v.Name] = true
		var beside []store.Version
		for _, o := range want {
			if o.Name == v.Name && o.Number != v.Number {
				beside = append(beside, o)
			}
		}
		errs = append(errs, f.one(ctx, v, beside)...)
	}
	for name, old := range f.served {
		if !seen[name] {
			f.server.Set(name, nil)
			errs = append(errs, f.ended(ctx, name, old, nil))
			delete(f.served, name)
		}
	}
	f.mark, f.looked = mark, true
	err = errors.Join(errs...)
	f.failed = err != nil
	return err
}

// one brings one model to what the registry says: v answers by default, those beside it who asks for them.
func (f *follower) one(ctx context.Context, v store.Version, beside []store.Version) (errs []error) {
	old := f.served[v.Name]
	if old == nil {
		old = &served{}
	}
	next := &served{live: old.live, extras: map[string]extra{}}
	if next.live == nil || next.live.Number != v.Number {
		b, err := f.bind(ctx, v, old)
		if err != nil {
			return []error{err}
		}
		next.live = b
	}
	next.key = next.live.String()
	o := serve.SplitOptions{Live: next.live}
	for _, alias := range []string{canaryAlias, shadowAlias} {
		x, err := f.extra(ctx, v, alias, old, &o)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s@%s does not take part: %w", v.Name, alias, err))
			continue
		}
		if x.bound != nil {
			next.extras[alias] = x
			next.key += fmt.Sprintf(" %s %d %s", alias, x.version.Number, x.version.Tags[canaryTag])
		}
	}
	for _, o := range beside {
		if slices.ContainsFunc([]string{canaryAlias, shadowAlias}, func(alias string) bool {
			x, ok := next.extras[alias]
			return ok && x.version.Number == o.Number
		}) {
			continue // it is there already
		}
		b, err := f.bind(ctx, o, old)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		next.beside = append(next.beside, b)
		next.key += fmt.Sprintf(" beside %d", b.Number)
	}
	if next.key == old.key {
		return errs
	}
	versions := []*serve.Bound{next.live}
	if len(next.extras) > 0 {
		split, err := serve.NewSplit(o)
		if err != nil {
			errs = append(errs, err)
			next.extras, next.key = map[string]extra{}, next.live.String()
		} else {
			next.split, next.trial = split, o.Trial
			for _, x := range next.extras {
				if x.bound != versions[len(versions)-1] {
					versions = append(versions, x.bound)
				}
			}
		}
	}
	versions = append(versions, next.beside...)
	f.server.Route(v.Name, serve.Route{Live: next.live, Versions: versions, Split: next.split})
	if f.looked {
		f.s.say("now serving %s", next)
	}
	f.served[v.Name] = next
	return append(errs, f.ended(ctx, v.Name, old, next))
}

func (n *served) String() string {
	var b strings.Builder
	b.WriteString(n.live.String())
	for _, o := range n.beside {
		fmt.Fprintf(&b, ", %d", o.Number)
	}
	for _, alias := range []string{canaryAlias, shadowAlias} {
		if x, ok := n.extras[alias]; ok {
			fmt.Fprintf(&b, ", %s %d", alias, x.version.Number)
		}
	}
	return b.String()
}

// bind makes a version ready, and warm, or takes it as it was.
func (f *follower) bind(ctx context.Context, v store.Version, old *served) (*serve.Bound, error) {
	if old.live != nil && old.live.Number == v.Number {
		return old.live, nil
	}
	for _, x := range old.extras {
		if x.version.Number == v.Number {
			return x.bound, nil
		}
	}
	for _, b := range old.beside {
		if b.Number == v.Number {
			return b, nil
		}
	}
	b, err := f.s.boundVersion(ctx, f.server, v)
	if err != nil {
		return nil, err
	}
	if err := b.WarmUp(ctx); err != nil {
		_ = b.Engine.Close()
		return nil, err
	}
	return b, nil
}

// extra is the canary or the shadow of a live version, if it has one, entered into o.
func (f *follower) extra(ctx context.Context, live store.Version, alias string, old *served, o *serve.SplitOptions) (extra, error) {
	v, err := f.s.st.Alias(ctx, live.Name, alias)
	if assay.CodeOf(err) == assay.NotFound || err == nil && v.Number == live.Number {
		return extra{}, nil
	}
	if err != nil {
		return extra{}, err
	}
	b, err := f.bind(ctx, v, old)
	if err != nil {
		return extra{}, err
	}
	if alias == shadowAlias {
		if o.Canary != nil && o.Canary.Number == v.Number {
			return extra{}, assay.Errorf(assay.Refused, "%s is the canary", versionName(v))
		}
		o.Shadow = b
		return extra{v, b}, nil
	}
	c, err := canaryOf(v)
	if err != nil {
		return extra{}, err
	}
	if o.Trial = old.trial; o.Trial == nil || o.Trial.ID() != c.Trial || old.extras[canaryAlias].version.Number != v.Number {
		o.Trial = serve.NewTrial(c.Trial)
		for test, tag := range trialTags {
			if _, err := o.Trial.Merge(test, v.Tags[tag]); err != nil {
				return extra{}, err
			}
		}
		k, err := f.judge(ctx, v, c.Trial)
		if err != nil {
			return extra{}, err
		}
		o.Trial.Among(k)
	}
	o.Canary, o.Percent, o.Header, o.FalseAbort = b, c.Percent, c.Header, c.FalseAbort
	if name, ok := strings.CutPrefix(c.Sticky, stickyHeader); ok {
		o.Sticky = name
	} else {
		o.StickyColumn = c.Sticky
	}
	return extra{v, b}, nil
}

// judges is what the tag of a canary says of the servers that have judged it.
type judges struct {
	Trial int64 `json:"trial"` // of another rollout, it is none
	N     int   `json:"n"`     // how many numbers are taken
}

// judge takes a number among the servers that judge a canary, which none had before in this rollout.
func (f *follower) judge(ctx context.Context, v store.Version, trial int64) (int, error) {
	for {
		now, err := f.s.st.Version(ctx, v.Name, v.Number)
		if err != nil {
			return 0, err
		}
		var had judges
		if text := now.Tags[judgesTag]; text != "" {
			if err := json.Unmarshal([]byte(text), &had); err != nil {
				return 0, assay.Errorf(assay.Invalid, "%s: tag %s cannot be read: %w", versionName(v), judgesTag, err)
			}
		}
		if had.Trial > trial { // that rollout is over
			return 0, nil
		}
		if had.Trial < trial {
			had = judges{Trial: trial}
		}
		had.N++
		text, err := json.Marshal(had)
		if err != nil {
			return 0, assay.Errorf(assay.Internal, "tag %s: %w", judgesTag, err)
		}
		err = f.s.st.SetTag(ctx, store.TagMove{Name: v.Name, Number: v.Number, Key: judgesTag, Value: string(text), Expect: now.Tags[judgesTag]})
		if assay.CodeOf(err) != assay.Refused { // another server was first
			return had.N, err
		}
	}
}

// decide brings what was counted to the store, where all servers put it together, and takes canaries away that failed too often.
func (f *follower) decide(ctx context.Context, all bool) error {
	var errs []error
	for name, x := range f.served {
		errs = append(errs, f.keepTrial(ctx, name, x, all))
		if x.split != nil {
			x.split.Judge()
		}
	}
	return errors.Join(append(errs, f.abort(ctx))...)
}

// abort takes canaries away that failed too often.
func (f *follower) abort(ctx context.Context) error {
	var errs []error
	for name, x := range f.served {
		if x.split == nil || x.split.Tripped() == "" {
			continue
		}
		why := x.split.Tripped()
		done, err := f.s.abortCanary(ctx, name, why, compared(x.split.Canary()))
		if err != nil {
			errs = append(errs, err)
		} else if done {
			f.s.say("canary %s:%d is aborted: %s", name, x.extras[canaryAlias].version.Number, why)
		}
	}
	return errors.Join(errs...)
}

// keepTrial brings what was counted against a canary into the store, where it has grown enough, or all of it: what other servers have counted
// comes back.
func (f *follower) keepTrial(ctx context.Context, name string, x *served, all bool) error {
	if x.trial == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	var errs []error
	for test, tag := range trialTags {
		for x.trial.Due(test, all) {
			v, err := f.s.st.Version(ctx, name, x.extras[canaryAlias].version.Number)
			if err != nil {
				return err
			}
			text, err := x.trial.Merge(test, v.Tags[tag])
			if err == nil && text != "" {
				err = f.s.st.SetTag(ctx, store.TagMove{Name: name, Number: v.Number, Key: tag, Value: text, Expect: v.Tags[tag]})
				if assay.CodeOf(err) == assay.Refused {
					continue // another server was first
				}
			}
			if err == nil && text != "" {
				x.trial.Kept(test)
				continue
			}
			errs = append(errs, err)
			break
		}
	}
	return errors.Join(errs...)
}

// ended writes what was seen of canaries and shadows that are not what they were.
func (f *follower) ended(ctx context.Context, name string, old, next *served) error {
	if old.split == nil {
		return nil
	}
	var errs []error
	if next == nil || next.trial != old.trial {
		errs = append(errs, f.keepTrial(ctx, name, old, true))
	}
	for _, alias := range slices.Sorted(maps.Keys(old.extras)) {
		x, c := old.extras[alias], old.split.Shadow()
		if alias == canaryAlias {
			c = old.split.Canary()
			if old.split.Tripped() != "" {
				continue // recorded when it was aborted
			}
		}
		outcome, reason := "stopped", "the alias "+alias+" was taken away"
		if f.closed {
			reason = "the server ended"
		} else if next != nil {
			if y, ok := next.extras[alias]; ok && y.version.Number == x.version.Number && next.live == old.live {
				reason = "its settings, or what else sees the traffic, changed"
				outcome = "replaced"
			} else if ok || next.live != old.live {
				outcome, reason = "replaced", "another version took its place or that of the live version"
			}
		}
		errs = append(errs, f.s.recordRollout(ctx, x.version, alias, compared(c), outcome, reason))
	}
	return errors.Join(errs...)
}

// close writes what was seen of the canaries and shadows of a server that ends.
func (f *follower) close(ctx context.Context) error {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.closed = true
	errs := []error{f.decide(context.WithoutCancel(ctx), true)}
	for _, name := range slices.Sorted(maps.Keys(f.served)) {
		errs = append(errs, f.ended(ctx, name, f.served[name], nil))
	}
	return errors.Join(errs...)
}

// live are the versions that answer requests which name none, NAME:NUMBER.
func (f *follower) live() []string {
	f.lock.Lock()
	defer f.lock.Unlock()
	var out []string
	for name, x := range f.served {
		out = append(out, fmt.Sprintf("%s:%d", name, x.live.Number))
	}
	return out
}

// versions are those that answer or are tried, NAME:NUMBER.
func (f *follower) versions() []string {
	f.lock.Lock()
	defer f.lock.Unlock()
	var out []string
	for name, x := range f.served {
		out = append(out, fmt.Sprintf("%s:%d", name, x.live.Number))
		for _, e := range x.extras {
			out = append(out, fmt.Sprintf("%s:%d", name, e.version.Number))
		}
		for _, b := range x.beside {
			out = append(out, fmt.Sprintf("%s:%d", name, b.Number))
		}
	}
	return sortedUnique(out)
}

// Index implements oip.Repository: every version of the registry.
func (f *follower) Index(ctx context.Context) ([]oip.Listed, error) {
	models, err := f.s.st.Models(ctx)
	if err != nil {
		return nil, err
	}
	var out []oip.Listed
	for _, m := range models {
		versions, err := f.s.st.Versions(ctx, m.Name)
		if err != nil {
			return nil, err
		}
		served, _ := f.server.Versions(m.Name)
		f.lock.Lock()
		off := f.off[m.Name]
		f.lock.Unlock()
		for _, v := range versions {
			l := oip.Listed{Name: v.Name, Version: v.Number}
			for _, b := range served {
				l.Ready = l.Ready || b.Number == v.Number
			}
			switch {
			case l.Ready:
			case off:
				l.Reason = "unloaded"
			default:
				l.Reason = "not in " + string(f.stage)
				if len(f.refs) > 0 {
					l.Reason = "not named to this server"
				}
			}
			out = append(out, l)
		}
	}
	return out, nil
}

// Load implements oip.Repository.
func (f *follower) Load(ctx context.Context, name string) error {
	f.lock.Lock()
	defer f.lock.Unlock()
	delete(f.off, name)
	f.looked = false // the registry has not changed, what should serve has
	if err := f.look(ctx); err != nil {
		return err
	}
	if f.served[name] == nil {
		return assay.Errorf(assay.NotFound, "no version of model %q should serve here", name)
	}
	return nil
}

// Unload implements oip.Repository.
func (f *follower) Unload(ctx context.Context, name string) error {
	f.lock.Lock()
	defer f.lock.Unlock()
	old := f.served[name]
	if old == nil {
		return assay.Errorf(assay.NotFound, "model %q is not served", name)
	}
	f.off[name] = true
	f.server.Set(name, nil)
	delete(f.served, name)
	f.s.say("%s was unloaded", name)
	return f.ended(ctx, name, old, nil)
}
