package serve

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurns: who waits gets a turn in the order in which they came, and before those who come when a turn ends; who has waited long enough
// is turned away.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a admission
		a.init(2, 100, time.Minute)
		var lock sync.Mutex
		var turns []int
		for i := range 50 {
			go func() {
				if a.enter(t.Context()) == nil {
					lock.Lock()
					turns = append(turns, i)
					lock.Unlock()
					time.Sleep(time.Second)
					a.leave()
				}
			}()
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		if n := a.waiting.Load(); n != 48 {
			t.Errorf("%d wait", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		lock.Lock()
		defer lock.Unlock()
		if !slices.IsSorted(turns) || len(turns) != 50 {
			t.Errorf("turns %v", turns)
		}
		// A turn of an hour: who came after it waits for a minute.
		for range 2 {
			go func() {
				if a.enter(t.Context()) == nil {
					time.Sleep(time.Hour)
					a.leave()
				}
			}()
		}
		synctest.Wait()
		began := time.Now()
		if err := a.enter(t.Context()); !Busy(err) || time.Since(began) != time.Minute || a.waiting.Load() != 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		time.Sleep(2 * time.Hour)
	})
}
