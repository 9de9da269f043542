package collect

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"maps"
	"slices"

	"github.com/assay-ml/assay"
)

// ReasonRepeated is why an exchange is left out that was taken in before.
const ReasonRepeated = "an event that was taken in before"

// Seen is which events a log has, and which of them are new: sources that deliver at least once name each by an id of its own. It keeps eight
// bytes of a digest of each id; of a hundred million events one is taken for another with a chance of about 1 in 4,000.
type Seen struct {
	known []uint64 // in order
	fresh map[uint64]struct{}
}

func eventMark(id string) uint64 {
	d := sha256.Sum256([]byte(id))
	return binary.LittleEndian.Uint64(d[:])
}

// Add notes an event, and reports whether it was not there.
func (s *Seen) Add(id string) bool {
	mark := eventMark(id)
	if _, old := slices.BinarySearch(s.known, mark); old {
		return false
	}
	if _, old := s.fresh[mark]; old {
		return false
	}
	if s.fresh == nil {
		s.fresh = map[uint64]struct{}{}
	}
	s.fresh[mark] = struct{}{}
	return true
}

// Has reports whether an event is there.
func (s *Seen) Has(id string) bool {
	mark := eventMark(id)
	_, old := slices.BinarySearch(s.known, mark)
	_, fresh := s.fresh[mark]
	return old || fresh
}

// Know adds events that WriteFresh wrote. Errors are Invalid, for what it did not write.
func (s *Seen) Know(written []byte) error {
	if len(written)%8 != 0 {
		return assay.Errorf(assay.Invalid, "a list of events has %d bytes, which are no whole number of events", len(written))
	}
	for ; len(written) > 0; written = written[8:] {
		s.known = append(s.known, binary.LittleEndian.Uint64(written))
	}
	slices.Sort(s.known)
	return nil
}

// Fresh is how many events were noted that are not known.
func (s *Seen) Fresh() int { return len(s.fresh) }

// WriteFresh writes the events that Add noted, eight bytes each.
func (s *Seen) WriteFresh(w io.Writer) error {
	var out []byte
	for _, mark := range slices.Sorted(maps.Keys(s.fresh)) {
		out = binary.LittleEndian.AppendUint64(out, mark)
	}
	_, err := w.Write(out)
	return err
}

// Settle makes the new events known ones.
func (s *Seen) Settle() {
	for mark := range s.fresh {
		s.known = append(s.known, mark)
	}
	slices.Sort(s.known)
	s.fresh = nil
}
