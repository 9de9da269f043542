package monitor

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// How long an outbox tries.
const (
	FirstBackoff = 5 * time.Second  // after the first attempt; it doubles with every further one
	MaxBackoff   = 10 * time.Minute // never longer between two attempts
	GiveUpAfter  = 24 * time.Hour   // since the first attempt: then a message is dead
	KeepSettled  = 30 * 24 * time.Hour
	claimFor     = time.Minute // what a process that was killed had in hand is taken up again after that; more than SendTimeout
	atOnce       = 8           // receivers that are written to at the same time
)

const (
	messageFormat   = "assay.message/1"
	maxMessageBytes = 256 << 10
)

// A Message is a notice on its way to one channel.
type Message struct {
	Format    string    `json:"format"`
	ID        string    `json:"id"`    // of the notice
	Lane      string    `json:"lane"`  // messages of one lane are delivered in their order
	Order     int64     `json:"order"` // in the lane
	Channel   string    `json:"channel"`
	CreatedAt time.Time `json:"created_at"`
	TriedAt   time.Time `json:"tried_at"` // first; zero when it was not
	NextAt    time.Time `json:"next_at"`  // not before
	SettledAt time.Time `json:"settled_at"`
	Attempts  int       `json:"attempts"`
	Last      Answer    `json:"last"`
	Notice    Notice    `json:"notice"`
}

// An Outbox keeps messages in a directory until a receiver accepted them: queue holds what is to be sent, busy what a process has in hand, sent
// and dead what is settled. A message is a file that moves between them by renaming, so that of several processes one has it, and a process
// that is killed loses none: what it had in hand is sent again after a minute, under the same id. Its methods may be called from several
// goroutines and processes.
type Outbox struct {
	dir   string
	clock func() time.Time
	trace func(step string) // tests stop the process there
}

var outboxFolders = []string{"queue", "busy", "sent", "dead", "tmp", "alive"}

// OpenOutbox opens the outbox in dir and makes it if needed. It returns Unavailable when the directory cannot be made.
func OpenOutbox(dir string, clock func() time.Time) (*Outbox, error) {
	o := &Outbox{dir: dir, clock: clock, trace: func(string) {}}
	for _, sub := range outboxFolders {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, o.fault("cannot be made", err)
		}
	}
	if err := errors.Join(syncFolder(dir), syncFolder(filepath.Dir(dir))); err != nil {
		return nil, o.fault("cannot be made durable", err)
	}
	return o, nil
}

func (o *Outbox) fault(what string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		err = l.Err
	}
	return assay.Errorf(assay.Unavailable, "the outbox %s: %w", what, err)
}

func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (o *Outbox) path(sub, id string) string { return filepath.Join(o.dir, sub, id+".json") }

// Put stores a notice to be sent, durably. It returns false for one that is there already, sent or not: putting again does nothing. order is that of
// the change which it tells of, so that a receiver hears of changes in their order.
func (o *Outbox) Put(n Notice, order int64) (bool, error) {
	if !validID(n.ID) {
		return false, assay.Errorf(assay.Invalid, "%.40q is no id of a notice", n.ID)
	}
	for range 2 { // it may move from one folder to another while it is looked for
		if _, sub, err := o.Find(n.ID); err != nil || sub != "" {
			return false, err
		}
	}
	now := o.clock().UTC()
	return true, o.write("queue", Message{Format: messageFormat, ID: n.ID, Lane: n.lane(), Order: order, Channel: n.Channel, CreatedAt: now, NextAt: now, Notice: n})
}

func validID(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == 16 && strings.ToLower(id) == id
}

// write makes a message durable in a folder, whole or not at all.
func (o *Outbox) write(sub string, m Message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return assay.Errorf(assay.Internal, "a message cannot be written: %w", err)
	}
	if len(b) > maxMessageBytes {
		return assay.Errorf(assay.Invalid, "a message has %d bytes; the limit is %d", len(b), maxMessageBytes)
	}
	o.trace("create")
	f, err := os.CreateTemp(filepath.Join(o.dir, "tmp"), "put-*")
	if err != nil {
		return o.fault("cannot be written", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	o.trace("sync")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return o.fault("cannot be written", err)
	}
	o.trace("rename")
	if err := os.Rename(f.Name(), o.path(sub, m.ID)); err != nil {
		return o.fault("cannot be written", err)
	}
	o.trace("sync folder")
	if err := syncFolder(filepath.Join(o.dir, sub)); err != nil {
		return o.fault("cannot be made durable", err)
	}
	o.trace("written")
	return nil
}

// ReadMessage reads a file of the outbox. It returns Invalid for anything that Put did not write.
func ReadMessage(b []byte) (Message, error) {
	var m Message
	if len(b) > maxMessageBytes {
		return m, assay.Errorf(assay.Invalid, "a message has %d bytes; the limit is %d", len(b), maxMessageBytes)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil || dec.More() {
		return Message{}, assay.Errorf(assay.Invalid, "a file of the outbox holds no message")
	}
	if m.Format != messageFormat || !validID(m.ID) || m.ID != m.Notice.ID || m.Channel != m.Notice.Channel || m.Lane != m.Notice.lane() || m.Attempts < 0 {
		return Message{}, assay.Errorf(assay.Invalid, "a file of the outbox holds a message that does not agree with itself")
	}
	return m, nil
}

// Find returns a message and the folder that it is in: queue, busy, sent or dead; "" for none.
func (o *Outbox) Find(id string) (Message, string, error) {
	for _, sub := range []string{"sent", "dead", "queue"} {
		b, err := os.ReadFile(o.path(sub, id))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Message{}, "", o.fault("cannot be read", err)
		}
		m, err := ReadMessage(b)
		return m, sub, err
	}
	held, err := filepath.Glob(filepath.Join(o.dir, "busy", id+".*"))
	if err != nil || len(held) == 0 {
		return Message{}, "", err
	}
	b, err := os.ReadFile(held[0])
	if err != nil { // it has just moved
		return Message{ID: id}, "busy", nil
	}
	m, err := ReadMessage(b)
	return m, "busy", err
}

// List returns the messages of a folder, oldest first, and how many of its files hold none.
func (o *Outbox) List(sub string) (ms []Message, broken int, err error) {
	entries, err := os.ReadDir(filepath.Join(o.dir, sub))
	if err != nil {
		return nil, 0, o.fault("cannot be read", err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(o.dir, sub, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has moved since
		}
		if err != nil {
			return nil, 0, o.fault("cannot be read", err)
		}
		m, err := ReadMessage(b)
		if err != nil {
			broken++
			continue
		}
		ms = append(ms, m)
	}
	slices.SortFunc(ms, func(a, b Message) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return ms, broken, nil
}

// A Tally counts the messages of an outbox.
type Tally struct {
	Waiting int `json:"waiting"` // to be sent, those in hand included
	Sent    int `json:"sent"`    // accepted, in the last 30 days
	Dead    int `json:"dead"`    // given up, in the last 30 days
	Broken  int `json:"broken"`  // files that hold no message
}

// Tally counts.
func (o *Outbox) Tally() (Tally, error) {
	var t Tally
	for sub, n := range map[string]*int{"queue": &t.Waiting, "busy": &t.Waiting, "sent": &t.Sent, "dead": &t.Dead} {
		ms, broken, err := o.List(sub)
		if err != nil {
			return t, err
		}
		*n += len(ms)
		t.Broken += broken
	}
	return t, nil
}

// recover takes up again what a process that was killed had in hand.
func (o *Outbox) recover() error {
	entries, err := os.ReadDir(filepath.Join(o.dir, "busy"))
	if err != nil {
		return o.fault("cannot be read", err)
	}
	for _, e := range entries {
		id, rest, _ := strings.Cut(e.Name(), ".")
		until, err := strconv.ParseInt(strings.TrimSuffix(rest, ".json"), 10, 64)
		if err == nil && o.clock().UnixMilli() < until {
			continue
		}
		from := filepath.Join(o.dir, "busy", e.Name())
		there := false
		for _, sub := range []string{"sent", "dead", "queue"} {
			if _, err := os.Stat(o.path(sub, id)); err == nil {
				there = true
			}
		}
		if there { // it was killed between writing what came of it and letting go
			err = os.Remove(from)
		} else {
			err = os.Rename(from, o.path("queue", id))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return o.fault("cannot be changed", err)
		}
	}
	return nil
}

// claim takes a message in hand; false when another process was faster.
func (o *Outbox) claim(id string) (string, bool, error) {
	to := filepath.Join(o.dir, "busy", id+"."+strconv.FormatInt(o.clock().Add(claimFor).UnixMilli(), 10)+".json")
	err := os.Rename(o.path("queue", id), to)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, o.fault("cannot be changed", err)
	}
	return to, true, nil
}

// Withdraw takes messages that wait out of the outbox, and returns how many there were. One that a process has in hand is sent.
func (o *Outbox) Withdraw(ids []string) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	if err := o.recover(); err != nil {
		return 0, err
	}
	n := 0
	for _, id := range ids {
		hand, ok, err := o.claim(id)
		if err != nil {
			return n, err
		}
		if !ok {
			continue
		}
		if err := os.Remove(hand); err != nil {
			return n, o.fault("cannot be changed", err)
		}
		n++
	}
	return n, nil
}

// Drain sends every message whose time has come, lanes beside each other and the messages of a lane one after the other, and returns what was tried.
// The first messages of lanes for which together gives one name, not empty, go as one, see Merge; nil sends each alone. A message that a receiver
// did not accept waits longer after every attempt, and is dead when it was given up: a day after the first attempt, or at once when the
// receiver refused it for good. Drain goes on with the other messages then. It returns the context's error when it was stopped.
func (o *Outbox) Drain(ctx context.Context, together func(Notice) string, send func(context.Context, Notice) Answer) ([]Message, error) {
	if err := o.recover(); err != nil {
		return nil, err
	}
	queue, _, err := o.List("queue")
	if err != nil {
		return nil, err
	}
	busy, _, err := o.List("busy")
	if err != nil {
		return nil, err
	}
	held := map[string]bool{}
	for _, m := range busy {
		held[m.Lane] = true
	}
	lanes := map[string][]Message{}
	for _, m := range queue {
		if !held[m.Lane] {
			lanes[m.Lane] = append(lanes[m.Lane], m)
		}
	}
	for _, ms := range lanes {
		slices.SortStableFunc(ms, func(a, b Message) int { return int(a.Order - b.Order) })
	}
	var (
		tried []Message
		errs  []error
	)
	for ctx.Err() == nil && len(lanes) > 0 { // one message of each lane at a time
		got := make([]batch, 0, len(lanes))
		at := map[string]int{}
		for _, lane := range slices.Sorted(maps.Keys(lanes)) {
			m := lanes[lane][0]
			if m.NextAt.After(o.clock()) {
				delete(lanes, lane)
				continue
			}
			name := ""
			if together != nil {
				name = together(m.Notice)
			}
			if i, ok := at[name]; ok && name != "" {
				got[i].ms = append(got[i].ms, m)
				continue
			}
			at[name] = len(got)
			got = append(got, batch{ms: []Message{m}})
		}
		var wg sync.WaitGroup
		room := make(chan struct{}, atOnce)
		for i := range got {
			room <- struct{}{}
			wg.Add(1)
			go func() {
				defer func() { <-room; wg.Done() }()
				o.attempt(ctx, &got[i], send)
			}()
		}
		wg.Wait()
		for _, b := range got {
			tried, errs = append(tried, b.tried...), append(errs, b.err)
			for _, m := range b.ms {
				if rest := lanes[m.Lane][1:]; b.settled && len(rest) > 0 {
					lanes[m.Lane] = rest
				} else {
					delete(lanes, m.Lane)
				}
			}
		}
	}
	slices.SortFunc(tried, func(a, b Message) int { return strings.Compare(a.ID, b.ID) })
	return tried, errors.Join(append(errs, ctx.Err())...)
}

// A batch is messages that go as one, and what came of it.
type batch struct {
	ms      []Message
	tried   []Message
	settled bool
	err     error
}

// attempt sends the messages of a batch that no other process has in hand.
func (o *Outbox) attempt(ctx context.Context, b *batch, send func(context.Context, Notice) Answer) {
	var hands []string
	var notices []Notice
	for _, m := range b.ms {
		hand, ok, err := o.claim(m.ID)
		if b.err = errors.Join(b.err, err); ok {
			hands, b.tried, notices = append(hands, hand), append(b.tried, m), append(notices, m.Notice)
		}
	}
	if len(hands) == 0 {
		return
	}
	o.trace("claimed")
	answer := send(ctx, Merge(notices))
	o.trace("sent")
	wait := max(Backoff(b.tried[0].ID, b.tried[0].Attempts+1), answer.After) // one for all, so that they go together again
	b.settled = len(hands) == len(b.ms)
	for i := range b.tried {
		m, to := &b.tried[i], "queue"
		now := o.clock().UTC()
		if m.TriedAt.IsZero() {
			m.TriedAt = now
		}
		m.Last = answer
		m.Attempts++
		switch {
		case answer.Accepted:
			to, m.SettledAt = "sent", now
		case ctx.Err() != nil: // stopped by us: no fault of the receiver
			m.Attempts--
		case answer.Permanent, now.Sub(m.TriedAt) >= GiveUpAfter:
			to, m.SettledAt = "dead", now
		default:
			m.NextAt = now.Add(wait)
		}
		b.settled = b.settled && to != "queue"
		if err := o.write(to, *m); err != nil {
			b.err, b.settled = errors.Join(b.err, err), false
			continue
		}
		o.trace("settled")
		if err := os.Remove(hands[i]); err != nil {
			b.err, b.settled = errors.Join(b.err, o.fault("cannot be changed", err)), false
		}
	}
}

// Backoff is how long a message waits after so many attempts: FirstBackoff, doubled with every further one up to MaxBackoff, less up to half of it by chance, so
// that messages which failed together do not come again together. The chance is a function of the id and of the number of attempts.
func Backoff(id string, attempts int) time.Duration {
	d := float64(FirstBackoff) * math.Pow(2, float64(max(attempts, 1)-1))
	d = min(d, float64(MaxBackoff))
	sum := assay.DigestOf([]byte(id)).Hex()
	b, err := hex.DecodeString(sum[:16])
	if err != nil {
		panic("BUG: a digest is not hexadecimal: " + err.Error())
	}
	u := stat.NewRand(binary.BigEndian.Uint64(b)).Float64At(uint64(attempts))
	return time.Duration(d * (1 - u/2))
}

// Prune removes settled messages after KeepSettled, and what broken writes left.
func (o *Outbox) Prune() error {
	old := o.clock().Add(-KeepSettled)
	for _, sub := range []string{"sent", "dead"} {
		ms, _, err := o.List(sub)
		if err != nil {
			return err
		}
		for _, m := range ms {
			if m.SettledAt.Before(old) {
				if err := os.Remove(o.path(sub, m.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return o.fault("cannot be changed", err)
				}
			}
		}
	}
	for _, sub := range []string{"tmp", "alive"} {
		entries, err := os.ReadDir(filepath.Join(o.dir, sub))
		if err != nil {
			return o.fault("cannot be read", err)
		}
		for _, e := range entries {
			if fi, err := e.Info(); err == nil && fi.ModTime().Before(old) {
				_ = os.Remove(filepath.Join(o.dir, sub, e.Name())) // the next time
			}
		}
	}
	return nil
}

// Alive reports whether something of that name is due that happens every so often, and notes that it happens now. Names are ids of notices. Nothing
// depends on it but how often: it is not made durable.
func (o *Outbox) Alive(id string, every time.Duration) (bool, error) {
	if !validID(id) {
		return false, assay.Errorf(assay.Invalid, "%.40q is no id of a notice", id)
	}
	path := filepath.Join(o.dir, "alive", id)
	now := o.clock().Unix()
	if b, err := os.ReadFile(path); err == nil {
		if last, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && last <= now && now-last < int64(every/time.Second) {
			return false, nil
		}
	}
	if err := os.WriteFile(path, []byte(strconv.FormatInt(now, 10)), 0o600); err != nil {
		return false, o.fault("cannot be written", err)
	}
	return true, nil
}
