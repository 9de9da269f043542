package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
)

// The aliases by which servers know which versions see live traffic, and the tag of such a version with the settings.
const (
	canaryAlias = "canary"
	shadowAlias = "shadow"
	canaryTag   = "assay.canary"
	judgesTag   = "assay.canary.judges" // how many servers have judged it
)

// trialTags are the tags of a canary with the evidence against it, by test of serve.Trial.
var trialTags = func() (out [len(serve.TrialTests)]string) {
	for i, name := range serve.TrialTests {
		out[i] = canaryTag + "." + name
	}
	return out
}()

// canarySettings are what a canary's tag holds, as JSON.
type canarySettings struct {
	Percent    float64 `json:"percent"`
	Header     string  `json:"header,omitempty"`
	Sticky     string  `json:"sticky,omitempty"`
	FalseAbort float64 `json:"false_abort"`
	Trial      int64   `json:"trial"` // tells rollouts apart: other settings go on with the evidence, another rollout begins without
}

// stickyHeader marks a header among what requests may stick to.
const stickyHeader = "header:"

func (a *app) canaryCommand() *cobra.Command {
	var stop bool
	c := canarySettings{}
	cmd := &cobra.Command{
		Use: "canary [VERSION]", Short: "Let a version answer a share of the live requests, compared with the one in production, until it fails more often",
		Long: `Let a version answer a share of the live requests. Every running server of this store follows within a second. What the canary answers,
the version in production evaluates once more, out of the path of requests, and the two are compared in pairs. When the canary fails,
refuses, is too late or gives answers that must not be passed on more often than chance explains, every server takes it out of the
traffic, the alias "canary" is taken away and evidence says why. The test may be looked at at any time: a canary that is no worse is
aborted with at most the probability --false-abort, however long it runs and however many servers look, also over restarts and other settings.
A quarter of the probability is for what all servers have counted together, the rest is divided among them. A canary that is stopped and started again begins anew.`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("serve canary", func(ctx context.Context, s *session, args []string) error {
			if stop {
				return s.stopRollout(ctx, canaryAlias, args)
			}
			if !(c.Percent > 0 && c.Percent <= 100) {
				return assay.Errorf(assay.Invalid, "--percent is %v; want more than 0 and at most 100", c.Percent).Try("assay serve canary NAME:NUMBER --percent 5")
			}
			if !(c.FalseAbort > 0 && c.FalseAbort < 1) {
				return assay.Errorf(assay.Invalid, "--false-abort is %v; want a probability between 0 and 1", c.FalseAbort)
			}
			return s.startRollout(ctx, canaryAlias, first(args), &c)
		}),
	}
	f := cmd.Flags()
	f.Float64Var(&c.Percent, "percent", 0, "`share` of the requests that the version answers")
	f.StringVar(&c.Header, "header", "", "a request with this `header` chooses itself: true for the canary, false for production")
	f.StringVar(&c.Sticky, "sticky", "", "equal values of this input `column`, or of a header as header:NAME, get the same version")
	f.Float64Var(&c.FalseAbort, "false-abort", serve.DefaultFalseAbort, "`probability` of aborting a canary that is no worse")
	f.BoolVar(&stop, "stop", false, "take the canary out of the traffic")
	return cmd
}

func (a *app) shadowCommand() *cobra.Command {
	var stop bool
	cmd := &cobra.Command{
		Use: "shadow [VERSION]", Short: "Let a version evaluate the live requests without answering them, compared with the one in production",
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("serve shadow", func(ctx context.Context, s *session, args []string) error {
			if stop {
				return s.stopRollout(ctx, shadowAlias, args)
			}
			return s.startRollout(ctx, shadowAlias, first(args), nil)
		}),
	}
	cmd.Flags().BoolVar(&stop, "stop", false, "take the shadow away")
	return cmd
}

// startRollout points the alias at a version that has passed its serving checks. Settings are written first: what servers follow is the
// alias.
func (s *session) startRollout(ctx context.Context, mode, ref string, c *canarySettings) error {
	v, err := s.version(ctx, ref)
	if err != nil {
		return err
	}
	rec, p, err := s.servingOf(ctx, v.Model)
	if err != nil {
		return err
	}
	if rec == nil {
		return assay.Errorf(assay.Refused, "%s has no input and output checks that passed", versionName(v)).Try("assay serve check %s", versionName(v))
	}
	held, err := s.held(ctx, v.Name, assay.StageProduction)
	if err != nil {
		return err
	}
	if held == v.Number {
		return assay.Errorf(assay.Refused, "%s is in production itself", versionName(v)).Try("assay model list")
	}
	other := map[string]string{canaryAlias: shadowAlias, shadowAlias: canaryAlias}[mode]
	if x, err := s.st.Alias(ctx, v.Name, other); err == nil && x.Number == v.Number {
		return assay.Errorf(assay.Refused, "%s is the %s", versionName(v), other).Try("assay serve %s --stop %s", other, v.Name)
	} else if err != nil && assay.CodeOf(err) != assay.NotFound {
		return err
	}
	if c != nil {
		if c.Trial, err = s.trialOf(ctx, v); err != nil {
			return err
		}
		if err := s.checkSticky(ctx, c.Sticky, p); err != nil {
			return err
		}
		text, err := json.Marshal(c)
		if err != nil {
			return assay.Errorf(assay.Internal, "the settings of the canary: %w", err)
		}
		if err := s.st.SetTags(ctx, v.Name, v.Number, map[string]string{canaryTag: string(text)}); err != nil {
			return err
		}
	}
	if err := s.st.SetAlias(ctx, store.AliasMove{Name: v.Name, Alias: mode, Number: v.Number, Context: s.circumstances()}); err != nil {
		return err
	}
	return s.print("assay.rollout/1", map[string]any{"name": v.Name, "version": v.Number, "mode": mode, "settings": c}, func(w io.Writer) {
		if c == nil {
			fmt.Fprintf(w, "%s is the shadow now: it evaluates what production answers, and answers nobody\n", versionName(v))
			return
		}
		fmt.Fprintf(w, "%s is the canary now: it answers %v %% of the requests\n", versionName(v), c.Percent)
	})
}

// trialOf is what tells the rollout of a canary from all others: that of the version which is the canary already, or a new one.
func (s *session) trialOf(ctx context.Context, v store.Version) (int64, error) {
	now, err := s.st.Alias(ctx, v.Name, canaryAlias)
	if err == nil && now.Number == v.Number {
		if c, err := canaryOf(now); err == nil {
			return c.Trial, nil
		}
	} else if err != nil && assay.CodeOf(err) != assay.NotFound {
		return 0, err
	}
	mark, err := s.st.Changes(ctx)
	return mark.Journal, err
}

// checkSticky refuses a column that the version does not take.
func (s *session) checkSticky(ctx context.Context, sticky string, p *assay.Serving) error {
	if sticky == "" || strings.HasPrefix(sticky, stickyHeader) {
		return nil
	}
	in, err := s.storedSchema(ctx, p.Input.Document)
	if err != nil {
		return err
	}
	if in.Column(sticky) == nil {
		return assay.Errorf(assay.Invalid, "--sticky: %q is not an input column of the version; a header is written header:NAME", sticky)
	}
	return nil
}

// stopRollout takes an alias away. Servers that follow write what they saw.
func (s *session) stopRollout(ctx context.Context, mode string, args []string) error {
	name := s.p.Name
	if len(args) > 0 {
		name, _, _ = strings.Cut(args[0], ":")
	}
	v, err := s.st.Alias(ctx, name, mode)
	if err != nil {
		return err
	}
	if err := s.st.SetAlias(ctx, store.AliasMove{Name: name, Alias: mode, Expect: &v.Number, Context: s.circumstances()}); err != nil {
		return err
	}
	return s.print("assay.rollout/1", map[string]any{"name": name, "version": 0, "mode": mode, "settings": nil}, func(w io.Writer) {
		fmt.Fprintf(w, "%s is no %s any more\n", versionName(v), mode)
	})
}

// abortCanary takes a model's canary out of the traffic of every server, for a reason that the history keeps; false when there is none.
// It is what an alert's action abort_canary does, and what a server does whose canary fails.
func (s *session) abortCanary(ctx context.Context, name, reason string, seen *serve.Compared) (bool, error) {
	v, err := s.st.Alias(ctx, name, canaryAlias)
	if assay.CodeOf(err) == assay.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if seen != nil && seen.Candidate != v.Number {
		return false, nil // another canary since
	}
	with := s.circumstances()
	with["reason"] = reason
	err = s.st.SetAlias(ctx, store.AliasMove{Name: name, Alias: canaryAlias, Expect: &v.Number, Context: with})
	if assay.CodeOf(err) == assay.Refused {
		return false, nil // another server was first
	}
	if err != nil {
		return false, err
	}
	return true, s.recordRollout(ctx, v, canaryAlias, seen, "aborted", reason)
}

// recordTimeout is what a server that is told to end still takes to write what it saw.
const recordTimeout = 10 * time.Second

// recordRollout writes what was seen of a canary or shadow, and how it ended; also where the server was told to end in the meantime:
// the traffic has moved already, and nobody could say later what was seen before.
func (s *session) recordRollout(ctx context.Context, v store.Version, mode string, seen *serve.Compared, outcome, reason string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	p := assay.Rollout{
		Name: v.Name, Version: v.Number, Mode: mode, Outcome: outcome, Reason: reason,
		Agreement: assay.Undefined("not compared", 0), Difference: assay.Undefined("not compared", 0), Failures: assay.Undefined("not compared", 0),
	}
	if mode == canaryAlias {
		if c, err := canaryOf(v); err == nil {
			p.Percent, p.Header, p.Sticky, p.FalseAbort = c.Percent, c.Header, c.Sticky, assay.Number(c.FalseAbort)
		}
	}
	parents := []assay.Digest{v.Evidence}
	if seen != nil {
		live, err := s.st.Version(ctx, v.Name, seen.Live)
		if err != nil {
			return err
		}
		p.Against, p.Live = live.Number, live.Model
		p.Answered, p.Failed, p.LiveAsked, p.LiveFailed = seen.Answered, seen.Failed, seen.LiveAnswered, seen.LiveFailed
		p.Refused, p.LiveRefused = seen.Refused, seen.LiveRefused
		p.Pairs, p.Dropped, p.Rows = seen.Pairs, seen.Dropped, seen.Rows
		p.Agreement, p.Difference, p.Failures, p.EValue = seen.Agreement, seen.Difference, seen.FailureDifference, seen.EValue
	}
	_, err := s.write(ctx, assay.KindRollout, v.Model, parents, p)
	return err
}

// canaryOf reads the settings of a canary from its tag.
func canaryOf(v store.Version) (canarySettings, error) {
	c := canarySettings{FalseAbort: serve.DefaultFalseAbort}
	text, ok := v.Tags[canaryTag]
	if !ok {
		return c, assay.Errorf(assay.Invalid, "%s has the alias %s and no settings", versionName(v), canaryAlias).Try("assay serve canary %s --percent 5", versionName(v))
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return c, assay.Errorf(assay.Invalid, "%s: tag %s cannot be read: %w", versionName(v), canaryTag, err)
	}
	return c, nil
}

// splitHandler answers what was seen of a model's canary and shadow, as JSON.
func splitHandler(server *serve.Server) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		doc := struct {
			Schema  string          `json:"schema"`
			Canary  *serve.Compared `json:"canary"`
			Shadow  *serve.Compared `json:"shadow"`
			Aborted string          `json:"aborted,omitempty"`
		}{Schema: "assay.split/1"}
		if split := server.Split(r.PathValue("name")); split != nil {
			doc.Canary, doc.Shadow, doc.Aborted = compared(split.Canary()), compared(split.Shadow()), split.Tripped()
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(doc)
	}
}

func compared(c *serve.Comparison) *serve.Compared {
	if c == nil {
		return nil
	}
	x := c.Compared()
	return &x
}
