package monitor

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// Drain sends every message whose time has come, lanes beside each other and the messages of a lane one after the other, and returns what was tried.
// The first messages of lanes for which together gives one name, not empty, go as one, see Merge; nil sends each alone. What went as one goes
// as the same one until it is settled, whatever else is due then: its id stays. A message that a receiver did not accept waits longer
// after every attempt, and is dead when it was given up: a day after the first attempt, or at once when the receiver refused it for good. Drain
// goes on with the other messages then. It returns the context's error when it was stopped.
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
	waiting := map[string]Message{}
	lanes := map[string][]Message{}
	for _, m := range queue {
		if !held[m.Lane] {
			waiting[m.ID] = m
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
		taken := map[string]bool{}
		for _, lane := range slices.Sorted(maps.Keys(lanes)) {
			m := lanes[lane][0]
			if taken[m.ID] {
				continue
			}
			b, ready, err := o.again(m, waiting)
			if err != nil {
				errs = append(errs, err)
			}
			if !ready || slices.ContainsFunc(b.ms, func(x Message) bool { return taken[x.ID] || x.NextAt.After(o.clock()) }) {
				delete(lanes, lane)
				continue
			}
			name := ""
			if together != nil && b.whole == nil {
				name = together(m.Notice)
			}
			if i, ok := at[name]; ok && name != "" {
				got[i].ms = append(got[i].ms, b.ms...)
				continue
			}
			at[name] = len(got)
			for _, x := range b.ms {
				taken[x.ID] = true
			}
			got = append(got, b)
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
				delete(waiting, m.ID)
				rest := slices.DeleteFunc(lanes[m.Lane], func(x Message) bool { return x.ID == m.ID })
				if b.settled && len(rest) > 0 {
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
	whole   []Notice // of one that was tried before: all that went then, also what is settled since
	tried   []Message
	settled bool
	err     error
}

// again is the batch in which a message was tried before; a new one of it alone where it was not, or where something of that batch is gone: withdrawn, since its
// incident was muted. It returns false while another process has some of them in hand.
func (o *Outbox) again(m Message, waiting map[string]Message) (batch, bool, error) {
	alone := batch{ms: []Message{m}}
	if len(m.With) == 0 {
		return alone, true, nil
	}
	var b batch
	for _, id := range m.With {
		x, sub, err := o.Find(id)
		if err != nil {
			return batch{}, false, err
		}
		if moving := sub == "busy" && x.Format == ""; !moving && !slices.Equal(x.With, m.With) {
			return alone, true, nil // a process was killed before all of them said so, and so before the attempt
		}
		b.whole = append(b.whole, x.Notice)
		if w, ok := waiting[id]; ok {
			b.ms = append(b.ms, w)
		} else if sub == "queue" || sub == "busy" {
			return batch{}, false, nil
		}
	}
	return b, true, nil
}

// attempt sends the messages of a batch that no other process has in hand; one that was tried before as a whole or not at all.
func (o *Outbox) attempt(ctx context.Context, b *batch, send func(context.Context, Notice) Answer) {
	var hands []string
	release := func(err error) {
		for i, hand := range hands {
			if e := os.Rename(hand, o.path("queue", b.tried[i].ID)); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, o.fault("cannot be changed", e))
			}
		}
		b.tried, b.err = nil, errors.Join(b.err, err)
	}
	slices.SortFunc(b.ms, func(x, y Message) int { return strings.Compare(x.ID, y.ID) })
	for _, m := range b.ms {
		hand, ok, err := o.claim(m.ID)
		if ok {
			var now Message
			if now, ok, err = o.inHand(hand, m); ok {
				hands, b.tried = append(hands, hand), append(b.tried, now)
			}
		}
		if b.err = errors.Join(b.err, err); !ok && b.whole != nil {
			release(nil)
			return
		}
	}
	if len(hands) == 0 {
		return
	}
	o.trace("claimed")
	notices := b.whole
	if notices == nil {
		var with []string
		for _, m := range b.tried {
			notices = append(notices, m.Notice)
			if len(b.tried) > 1 {
				with = append(with, m.ID)
			}
		}
		for i := range b.tried {
			if m := &b.tried[i]; !slices.Equal(m.With, with) {
				m.With = with
				if err := o.writeTo(hands[i], *m); err != nil {
					release(err)
					return
				}
			}
		}
		o.trace("joined")
	}
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

// inHand reads a message that was just taken in hand. It lets it go, and returns false, when another process tried it since it was seen as m.
func (o *Outbox) inHand(hand string, m Message) (Message, bool, error) {
	b, err := os.ReadFile(hand)
	if err != nil {
		return Message{}, false, o.fault("cannot be read", err)
	}
	now, err := ReadMessage(b)
	if err != nil || now.Attempts != m.Attempts || !now.NextAt.Equal(m.NextAt) || !slices.Equal(now.With, m.With) {
		if err := os.Rename(hand, o.path("queue", m.ID)); err != nil {
			return Message{}, false, o.fault("cannot be changed", err)
		}
		return Message{}, false, nil
	}
	return now, true, nil
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
