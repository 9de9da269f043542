package serve

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadline: the context of an evaluation ends when the caller goes or the time is over, counted from when the request came, whether
// or not somebody asked before; what is made from it ends, too.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		caller, gone := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		fresh := func() *deadline {
			return &deadline{caller: caller, clock: time.Now, began: time.Now(), limit: time.Minute}
		}
		quiet, asked, late := fresh(), fresh(), fresh()
		defer quiet.end()
		child, cancel := context.WithCancel(asked)
		defer cancel()
		if quiet.Value(key{}) != "value" || asked.Value(key{}) != "value" || child.Value(key{}) != "value" {
			t.Error("the caller's values are lost")
		}
		time.Sleep(59 * time.Second)
		if quiet.over(time.Now()) || asked.Err() != nil || child.Err() != nil {
			t.Error("over before the time")
		}
		if at, ok := late.Deadline(); !ok || time.Until(at) != time.Second {
			t.Errorf("ends at %v", at)
		}
		time.Sleep(time.Second)
		<-asked.Done()
		<-late.Done()
		synctest.Wait()
		if !quiet.over(time.Now()) || !errors.Is(quiet.Err(), context.DeadlineExceeded) || child.Err() == nil {
			t.Error("not over after the time")
		}
		x, y := fresh(), fresh()
		_ = y.Done()
		gone()
		if !x.over(time.Now()) || !y.over(time.Now()) || !errors.Is(x.Err(), context.Canceled) || !errors.Is(y.Err(), context.Canceled) {
			t.Error("not over when the caller went")
		}
		for _, d := range []*deadline{asked, late, x, y} {
			d.end()
		}
	})
}
