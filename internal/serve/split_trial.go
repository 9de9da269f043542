package serve

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// Tests of a Trial. Each is about units of which at most a known share is the candidate's while it is no worse.
const (
	testFailed  = iota // keys that were drawn of which a request was not answered for a reason of the version's or of what it runs on
	testRefused        // keys that were drawn of which a request was refused or could not be read
	testPairs          // rows that one version alone did not answer when both were asked again, one after the other in random order
	tests
)

// TrialTests are the names of the tests of a Trial, in their order.
var TrialTests = [tests]string{"failed", "refused", "pairs"}

// Bounds of a test, which keep what the store has of it below the length of a tag.
const (
	trialMarks  = 1024
	trialShares = 150
)

// storeShare is the share of the probability of a false abort that is for what all servers have put together.
const storeShare = 0.25

// A Trial is what speaks for it that a canary answers less often than the live version, over all servers and settings of one rollout. A unit
// counts once, however often its request is sent again, as it was drawn once: a trial keeps marks of those that it has counted. Where
// they become too many it goes on with half of what comes, chosen by another hash than the one that drew, so that memory is bounded and
// none counts twice. It is safe for concurrent use.
//
// Several servers judge one canary, each by what the store has and what it has counted since, which no other knows: those are as many
// chances of a false alarm. So a quarter of the probability is that of what the store has, the same for all, and the rest is divided among the servers by
// their numbers k = 1, 2, …: 1/(k(k+1)) of it is the k-th one's, which adds up to 1 however many there are; the first has more than the store, so
// that a server which is alone decides by its requests, whenever they come to the store. What reaches the store at which time must
// not depend on whom it speaks against: Due looks at counts of units alone.
type Trial struct {
	id    int64
	lock  sync.Mutex
	alone bool // no other server judges
	judge int  // the number of this server among those that do; 0: it has none, and goes by what the store has
	tests [tests]trialTest
}

type trialTest struct {
	kept  []stat.Drawn // what the store has, as far as is known here
	next  []stat.Drawn // what it has when Merge's answer is kept
	draws []stat.Drawn
	keep  uint32 // marks up to this count
	seen  map[uint32]struct{}
	fresh []trialUnit // counted since what the store has
	given int         // of fresh, that Merge gave to be stored
}

type trialUnit struct {
	mark  uint32
	share float64
	hit   bool // the candidate's
}

// NewTrial returns a trial of a rollout without evidence, that this server alone judges; what another rollout has stored is none of its.
func NewTrial(id int64) *Trial {
	t := &Trial{id: id, alone: true}
	for i := range t.tests {
		t.tests[i] = trialTest{keep: math.MaxUint32, seen: map[uint32]struct{}{}}
	}
	return t
}

// Among says that several servers judge, and that this one is the k-th of them, from 1: no two of a rollout may have one number. 0 is a server without a
// number.
func (t *Trial) Among(k int) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.alone, t.judge = false, k
}

// Against is what is held against one over the probability of a false abort: the chance that it ever reaches that on any of the servers that judge, while the
// candidate is no worse, is at most that probability.
func (t *Trial) Against() float64 {
	t.lock.Lock()
	defer t.lock.Unlock()
	var own, kept float64
	for i := range t.tests {
		own += stat.DrawnEValue(t.tests[i].draws...) / tests
		kept += stat.DrawnEValue(t.tests[i].kept...) / tests
	}
	if t.alone {
		return own
	}
	if t.judge > 0 {
		return max(storeShare*kept, judgeShare(t.judge)*own)
	}
	return storeShare * kept
}

// AbortsAt is the e-value at which the k-th server that judges, from 1, aborts a canary by what it has counted itself and the store has.
func AbortsAt(k int, falseAbort float64) float64 { return 1 / (falseAbort * judgeShare(k)) }

// judgeShare is the share of the probability of a false abort that the k-th server has.
func judgeShare(k int) float64 { return (1 - storeShare) / float64(k*(k+1)) }

// ID is the rollout's.
func (t *Trial) ID() int64 { return t.id }

// count notes a unit that the candidate has with at most the probability share while it is no worse.
func (t *Trial) count(test int, key uint64, share float64, hit bool) {
	t.lock.Lock()
	defer t.lock.Unlock()
	x := &t.tests[test]
	u := trialUnit{mark: uint32(scatter(key + uint64(test) + 1)), share: share, hit: hit}
	if len(x.fresh) < 8*trialMarks && x.add(u) { // a store that is away for long must not fill the memory
		x.fresh = append(x.fresh, u)
	}
}

func (x *trialTest) add(u trialUnit) bool {
	if _, ok := x.seen[u.mark]; ok || u.mark > x.keep {
		return false
	}
	i := slices.IndexFunc(x.draws, func(d stat.Drawn) bool { return d.Share == u.share })
	if i < 0 {
		if i = len(x.draws); i == trialShares {
			return false
		}
		x.draws = append(x.draws, stat.Drawn{Share: u.share})
	}
	x.draws[i].N++
	if u.hit {
		x.draws[i].Hits++
	}
	x.seen[u.mark] = struct{}{}
	for len(x.seen) > trialMarks {
		x.keep /= 2
		maps.DeleteFunc(x.seen, func(mark uint32, _ struct{}) bool { return mark > x.keep })
	}
	return true
}

func (x *trialTest) n() (hits, n int64, expected float64) {
	for _, d := range x.draws {
		hits, n, expected = hits+d.Hits, n+d.N, expected+d.Share*float64(d.N)
	}
	return hits, n, expected
}

// Weighed is what one test of a Trial has seen.
type Weighed struct {
	Test     string       `json:"test"`     // failed, refused, pairs
	Own      int64        `json:"own"`      // units of the candidate
	N        int64        `json:"n"`        // units
	Expected assay.Number `json:"expected"` // of the candidate, at most, while it is no worse
	EValue   assay.Number `json:"e_value"`
}

// weigh returns the tests and the evidence of all: the mean of e-values is one.
func (t *Trial) weigh() (all [tests]Weighed, e float64) {
	t.lock.Lock()
	defer t.lock.Unlock()
	for i := range t.tests {
		hits, n, expected := t.tests[i].n()
		each := stat.DrawnEValue(t.tests[i].draws...)
		all[i] = Weighed{TrialTests[i], hits, n, assay.Number(expected), assay.Number(each)}
		e += each / tests
	}
	return all, e
}

// storedTest is what the store has of one test, as JSON.
type storedTest struct {
	Trial int64        `json:"trial"`
	Keep  uint32       `json:"keep"`
	Draws [][3]float64 `json:"draws"` // share, hits, n
	Seen  string       `json:"seen"`  // marks of four bytes, in base64
}

// Due reports whether so much was counted since the store last heard of a test that it should: all of it, where the server ends.
func (t *Trial) Due(test int, all bool) bool {
	t.lock.Lock()
	defer t.lock.Unlock()
	x := &t.tests[test]
	_, n, _ := x.n()
	return len(x.fresh) > 0 && (all || int64(len(x.fresh))*5 > n)
}

// Merge takes in what the store has of a test, "" for nothing, and returns what it should have: "" when a later rollout has begun. Kept must
// follow when it has it. Errors are Invalid, for what is no such text.
func (t *Trial) Merge(test int, stored string) (string, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	x := trialTest{keep: math.MaxUint32, seen: map[uint32]struct{}{}}
	if stored != "" {
		var s storedTest
		err := json.Unmarshal([]byte(stored), &s)
		var marks []byte
		if err == nil {
			marks, err = base64.StdEncoding.DecodeString(s.Seen)
		}
		if err != nil {
			return "", assay.Errorf(assay.Invalid, "what the store has of the canary's test %s cannot be read: %w", TrialTests[test], err)
		}
		if s.Trial > t.id {
			return "", nil
		}
		if s.Trial == t.id { // not of a rollout before
			x.keep = s.Keep
			for ; len(marks) >= 4; marks = marks[4:] {
				x.seen[binary.LittleEndian.Uint32(marks)] = struct{}{}
			}
			for _, d := range s.Draws {
				x.draws = append(x.draws, stat.Drawn{Share: d[0], Hits: int64(d[1]), N: int64(d[2])})
			}
		}
	}
	was := &t.tests[test]
	x.kept = slices.Clone(x.draws)
	for _, u := range was.fresh {
		x.add(u)
	}
	x.fresh, x.given, x.next = was.fresh, len(was.fresh), slices.Clone(x.draws)
	*was = x
	s := storedTest{Trial: t.id, Keep: x.keep, Draws: [][3]float64{}}
	for _, d := range x.draws {
		s.Draws = append(s.Draws, [3]float64{d.Share, float64(d.Hits), float64(d.N)})
	}
	var marks []byte
	for _, mark := range slices.Sorted(maps.Keys(x.seen)) {
		marks = binary.LittleEndian.AppendUint32(marks, mark)
	}
	s.Seen = base64.StdEncoding.EncodeToString(marks)
	text, err := json.Marshal(s)
	if err != nil {
		return "", assay.Errorf(assay.Internal, "the canary's test %s: %w", TrialTests[test], err)
	}
	return string(text), nil
}

// Kept notes that the store has what Merge returned last.
func (t *Trial) Kept(test int) {
	t.lock.Lock()
	defer t.lock.Unlock()
	x := &t.tests[test]
	x.fresh, x.given, x.kept = slices.Delete(x.fresh, 0, x.given), 0, x.next
}

// hashed is the FNV hash of parts that a byte ends which no text has.
func hashed(parts ...[]byte) uint64 {
	h := uint64(14695981039346656037)
	for _, part := range parts {
		for _, c := range part {
			h = (h ^ uint64(c)) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return h
}

// scatter makes all bits depend on all (the finaliser of splitmix64).
func scatter(h uint64) uint64 {
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	return h ^ h>>31
}
