package serve

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// A journal is a file, mapped into memory, in which the calls stand that wait for the writer of a log: what is stored there outlives the
// process, even one that is killed, at the price of a copy. Offer writes a call into the one half while the writer empties the other; a call
// that the writer has written, or counted as lost, is crossed out. Recover brings what is left to the log. The file has
//
//   - a head: journalMagic, the generations of the halves, and whether a call found no room,
//   - two tables, of which the newer whole one counts rows that were lost and could not be told in a segment,
//   - layouts: of the versions whose calls there are, and
//   - the halves.
//
// Layouts and calls are records with a length and a generation before them, which is 0 for what is crossed out.
type journal struct {
	file   *os.File
	path   string
	mem    []byte
	active atomic.Uint32
	closed atomic.Bool
	half   [2]journalHalf
	redact map[string]bool
	mu     sync.Mutex // of the layouts
	end    int        // of the layouts
	table  uint32     // number of the newest table
	counts map[string]int64
}

type journalHalf struct {
	users atomic.Int32 // calls that are being written
	pos   atomic.Int64
	gen   uint32
	_     [64]byte
}

const (
	journalMagic  = "assay journal 1\n"
	journalSuffix = ".journal"
	nextSuffix    = ".next"

	journalGens  = 16
	journalFull  = 24 // 1: a call found no room, and is not here
	journalBoot  = 28 // id of the running of the machine
	journalTable = 64
	tableBytes   = 16 << 10
	layoutsFrom  = 64 << 10
	layoutsBytes = 448 << 10
	halvesFrom   = layoutsFrom + layoutsBytes
	halfBytes    = 4 << 20
	journalBytes = halvesFrom + 2*halfBytes

	// layoutGen is the generation of layouts, which are never crossed out.
	layoutGen = 1
)

// openJournal makes the journal of a process. It is nil where the file system cannot have one.
func openJournal(dir, nonce string, redact map[string]bool) *journal {
	j := &journal{path: filepath.Join(dir, nonce+journalSuffix), redact: redact, end: layoutsFrom, counts: map[string]int64{}}
	// Under another name until it is held: nobody takes it for one that a killed process left.
	next := j.path + nextSuffix
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil
	}
	j.file = f
	if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		j.mem, err = mapFile(f, journalBytes)
	}
	if err == nil {
		copy(j.mem, journalMagic)
		copy(j.mem[journalBoot:journalTable], bootID())
		for h := range j.half {
			j.half[h].gen = layoutGen + 1 + uint32(h)
			j.put32(journalGens+4*h, j.half[h].gen)
		}
		err = os.Rename(next, j.path)
	}
	if err != nil {
		_ = os.Remove(next)
		if j.mem != nil {
			_ = unmapFile(j.mem)
		}
		_ = f.Close()
		return nil
	}
	return j
}

func (j *journal) put32(at int, v uint32) { binary.LittleEndian.PutUint32(j.mem[at:], v) }

func aligned(n int) int { return (n + 7) &^ 7 }

// frame stores a record behind its length, and its generation last: what has one is whole.
func (j *journal) frame(at int, gen uint32, record []byte) {
	j.put32(at, uint32(len(record)))
	copy(j.mem[at+frameHead:], record)
	j.put32(at+4, gen)
}

// enter holds the half that takes calls; -1 when the journal is closed. leave must follow otherwise.
func (j *journal) enter() int {
	for {
		h := int(j.active.Load())
		j.half[h].users.Add(1)
		switch {
		case j.closed.Load():
			j.leave(h)
			return -1
		case int(j.active.Load()) == h:
			return h
		}
		j.leave(h)
	}
}

func (j *journal) leave(h int) { j.half[h].users.Add(-1) }

// keep writes an entry into a half that is held. What finds no room is not in the journal, which says so from then on.
func (j *journal) keep(h int, e *entry) {
	e.frame = 0
	if !e.bound.journaled.Load() && !j.describe(e.bound) {
		j.mem[journalFull] = 1
		return
	}
	x, n := &j.half[h], int64(aligned(frameHead+len(e.buf)))
	at := x.pos.Add(n) - n
	if at+n > halfBytes {
		j.mem[journalFull] = 1
		return
	}
	e.frame = halvesFrom + h*halfBytes + int(at)
	j.frame(e.frame, x.gen, e.buf)
}

// describe writes the columns of a version, once.
func (j *journal) describe(b *Bound) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if b.journaled.Load() {
		return true
	}
	doc, err := json.Marshal(b.layout(j.redact))
	if err != nil {
		return false
	}
	record := seal(append(appendText([]byte{0, 0, 0, 0, 0, 0, 0, 0, recordLayout}, b.Name), doc...), 0)
	n := aligned(frameHead + len(record))
	if j.end+n > layoutsFrom+layoutsBytes {
		return false
	}
	j.frame(j.end, layoutGen, record)
	j.end += n
	b.journaled.Store(true)
	return true
}

// cross takes out a call that is written, or counted as lost.
func (j *journal) cross(frame int) {
	if frame > 0 {
		j.put32(frame+4, 0)
	}
}

// turn lets calls go into the other half, if that is empty, and returns the one that can be emptied once what waits is written; -1 when
// somebody still writes into it.
func (j *journal) turn() int {
	h := int(j.active.Load())
	if j.half[1-h].pos.Load() == 0 {
		if j.half[h].pos.Load() == 0 {
			return -1
		}
		j.active.Store(uint32(1 - h))
		h = 1 - h
	}
	for range 100 {
		if j.half[1-h].users.Load() == 0 {
			return 1 - h
		}
		runtime.Gosched()
	}
	return -1
}

// clear empties a half whose calls are all crossed out.
func (j *journal) clear(h int) {
	if h < 0 {
		return
	}
	x := &j.half[h]
	if x.gen += 2; x.gen <= layoutGen { // it has gone round
		x.gen = layoutGen + 1 + uint32(h)
	}
	j.put32(journalGens+4*h, x.gen)
	x.pos.Store(0)
}

// lost stores how many rows of each model were lost and are not told in a segment.
func (j *journal) lost(counts map[string]int64) {
	same := len(counts) == len(j.counts)
	for model, n := range counts {
		same = same && j.counts[model] == n
	}
	if same {
		return
	}
	j.counts = counts
	doc, err := json.Marshal(counts)
	if err != nil || len(doc) > tableBytes-16 {
		return // so many models, or such names: the counts are in memory only
	}
	j.table++
	at := journalTable + int(j.table%2)*tableBytes
	j.put32(at, 0)
	copy(j.mem[at+16:], doc)
	j.put32(at+4, uint32(len(doc)))
	j.put32(at+8, crc32.Checksum(doc, castagnoli))
	j.put32(at, j.table)
}

// close ends the journal. Its file is removed, unless it counts rows that nobody has been told of.
func (j *journal) close() {
	j.closed.Store(true)
	for h := range j.half {
		for j.half[h].users.Load() > 0 {
			runtime.Gosched()
		}
	}
	if len(j.counts) == 0 {
		_ = os.Remove(j.path)
	}
	_ = unmapFile(j.mem)
	_ = j.file.Close()
}

// journalled is what a process left.
type journalled struct {
	whole   bool                // no call is missing that waited
	layouts map[uint64]layout   // by serial
	models  map[uint64]string   // whose they are
	calls   map[string][][]byte // records by model, in their order
	lost    map[string]int64
}

// readJournal reads what a process left. ok is false for what is no journal.
func readJournal(b []byte) (out journalled, ok bool) {
	if len(b) != journalBytes || string(b[:len(journalMagic)]) != journalMagic {
		return out, false
	}
	boot := bootID() // what a machine that stopped had not brought to its disk is gone
	out = journalled{whole: b[journalFull] == 0 && boot != "" && string(b[journalBoot:journalTable]) == boot, layouts: map[uint64]layout{}, models: map[uint64]string{}, calls: map[string][][]byte{}, lost: map[string]int64{}}
	newest := uint32(0)
	for k := range 2 {
		t := b[journalTable+k*tableBytes:][:tableBytes]
		number, n := binary.LittleEndian.Uint32(t), int(binary.LittleEndian.Uint32(t[4:]))
		if number <= newest || n > tableBytes-16 || crc32.Checksum(t[16:16+n], castagnoli) != binary.LittleEndian.Uint32(t[8:]) {
			continue
		}
		counts := map[string]int64{}
		if json.Unmarshal(t[16:16+n], &counts) == nil {
			newest, out.lost = number, counts
		}
	}
	eachFrame(b[layoutsFrom:layoutsFrom+layoutsBytes], layoutGen, func(record []byte) {
		c := cursor{b: record}
		if c.byte() != recordLayout {
			return
		}
		model := string(c.text())
		var l layout
		if c.bad || json.Unmarshal(c.b, &l) != nil {
			return
		}
		out.layouts[l.Serial], out.models[l.Serial] = l, model
	})
	gens := [2]uint32{binary.LittleEndian.Uint32(b[journalGens:]), binary.LittleEndian.Uint32(b[journalGens+4:])}
	order := []int{0, 1}
	if int32(gens[1]-gens[0]) < 0 {
		slices.Reverse(order)
	}
	for _, h := range order {
		eachFrame(b[halvesFrom+h*halfBytes:][:halfBytes], gens[h], func(record []byte) {
			c := cursor{b: record}
			if !c.call() {
				return
			}
			if model, known := out.models[c.uint()]; known && !c.bad {
				out.calls[model] = append(out.calls[model], record)
			}
		})
	}
	return out, true
}

// eachFrame calls each for the records of a generation that are whole, without their heads.
func eachFrame(b []byte, gen uint32, each func(record []byte)) {
	for at := 0; at+2*frameHead < len(b); {
		n := int(binary.LittleEndian.Uint32(b[at:]))
		if binary.LittleEndian.Uint32(b[at+4:]) == gen && n > frameHead && n <= len(b)-at-frameHead && recordAt(b[:at+frameHead+n], at+frameHead) == n {
			each(b[at+2*frameHead : at+frameHead+n])
			at += aligned(frameHead + n)
			continue
		}
		at += 8
	}
}
