package monitor

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-ml/assay"
)

// How long an outbox tries.
const (
	FirstBackoff = 5 * time.Second  // after the first attempt; it doubles with every further one
	MaxBackoff   = 10 * time.Minute // never longer between two attempts
	GiveUpAfter  = 24 * time.Hour   // since the first attempt: then a message is dead
	KeepSettled  = 30 * 24 * time.Hour
	claimFor     = 2 * time.Minute // what a process that was killed had in hand is taken up again after that; more than an attempt takes
	atOnce       = 8               // receivers that are written to at the same time
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
	With      []string  `json:"with,omitempty"` // ids of the messages that go as one with it, its own too, sorted: since they were tried so, they are always tried so
	Notice    Notice    `json:"notice"`
}

// An Outbox keeps messages in a directory until a receiver accepted them: queue holds what is to be sent, busy what a process has in hand, sent
// and dead what is settled; damaged keeps files that hold no message, see SetAside. A message is a file that moves between them by renaming, so that of several processes one has it, and a process
// that is killed loses none: what it had in hand is sent again after two minutes, under the same id. Its methods may be called from several
// goroutines and processes.
type Outbox struct {
	dir   string
	clock func() time.Time
	trace func(step string) // tests stop the process there
}

var outboxFolders = []string{"queue", "busy", "sent", "dead", "tmp", "alive", damagedFolder}

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
func (o *Outbox) write(sub string, m Message) error { return o.writeTo(o.path(sub, m.ID), m) }

func (o *Outbox) writeTo(path string, m Message) error {
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
	if err := os.Rename(f.Name(), path); err != nil {
		return o.fault("cannot be written", err)
	}
	o.trace("sync folder")
	if err := syncFolder(filepath.Dir(path)); err != nil {
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
	if len(m.With) > 0 && (!slices.Contains(m.With, m.ID) || !slices.IsSorted(m.With) || slices.ContainsFunc(m.With, func(id string) bool { return !validID(id) })) {
		return Message{}, assay.Errorf(assay.Invalid, "a file of the outbox holds a message that goes with what is none")
	}
	if m.Format != messageFormat || !validID(m.ID) || m.ID != m.Notice.ID || m.Channel != m.Notice.Channel || m.Lane != m.Notice.lane() || m.Attempts < 0 {
		return Message{}, assay.Errorf(assay.Invalid, "a file of the outbox holds a message that does not agree with itself")
	}
	return m, nil
}

// Find returns a message and the folder that it is in: queue, busy, sent or dead; "" for none. What is settled stays so when its file is damaged: then the message
// is empty. A damaged file that was to be sent is no message.
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
		if err != nil && sub == "queue" {
			continue
		}
		return m, sub, nil
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
	if err != nil {
		return Message{}, "", nil
	}
	return m, "busy", nil
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
		var m Message
		if err == nil {
			m, err = ReadMessage(b)
		}
		if err != nil { // one of them stops no other
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
	Broken  int `json:"broken"`  // files that hold no message, and for which none was written anew
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
	aside, err := o.aside()
	for _, d := range aside {
		if !d.Rebuilt {
			t.Broken++
		}
	}
	return t, err
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
	for _, sub := range []string{"tmp", "alive", damagedFolder} {
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
