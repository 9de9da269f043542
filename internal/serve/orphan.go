package serve

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/assay-ml/assay"
)

// What is missing of a segment.
const (
	Unclosed   = "unclosed"   // its process or its machine stopped, and there is no journal of what waited: rows of just before that may be missing, and nobody counted them
	Damaged    = "damaged"    // bytes in its middle that are no records any more
	Unreadable = "unreadable" // a line that the table engine cannot read
)

// A Missing is what the log says of a segment of which something is missing: a line of the outcome lost has it in _violations.
type Missing struct {
	Segment string `json:"segment"` // the file without its ending
	What    string `json:"what"`    // unclosed, damaged or unreadable
	Rows    int64  `json:"rows"`    // that are missing, at least
	Bytes   int64  `json:"bytes"`   // that could not be read and were left out
}

var missingForm = regexp.MustCompile(`^(.+) (unclosed|damaged|unreadable)(?: ([0-9]{1,18}) bytes)?$`)

// String is what a line of the log says; how many rows are missing stands in another column of it.
func (m Missing) String() string {
	s := m.Segment + " " + m.What
	if m.Bytes > 0 {
		s += " " + strconv.FormatInt(m.Bytes, 10) + " bytes"
	}
	return s
}

// ParseMissing reads what String writes; false for other words.
func ParseMissing(s string) (Missing, bool) {
	x := missingForm.FindStringSubmatch(s)
	if x == nil {
		return Missing{}, false
	}
	n, _ := strconv.ParseInt(x[3], 10, 64) // nothing is 0
	return Missing{Segment: x[1], What: x[2], Bytes: n}, true
}

// stem is the name of a segment in all of its states.
func stem(path string) string {
	name := filepath.Base(path)
	return strings.TrimSuffix(strings.TrimSuffix(name, filepath.Ext(name)), ".open")
}

// adoptOrphan closes a segment unless its writer lives, and returns its new path. What waited for the writer is lost and nobody knows how
// much it was: a loss of 0 rows says that there may be some. A torn end is cut off. Where a record is damaged, those behind it are kept, and
// the bytes in between are counted as at least one row.
func adoptOrphan(path string) (string, error) { return adopt(path, false) }

// adopt is adoptOrphan; whole says that what waited for the writer is known from elsewhere, so that nothing is missing but what is damaged.
func adopt(path string, whole bool) (string, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be opened: %w", bare(err))
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return "", nil // somebody writes it
	}
	st, err := f.Stat()
	if err != nil {
		return "", assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be read: %w", bare(err))
	}
	if strings.HasSuffix(path, linesSuffix) {
		err = cutLine(f, st.Size())
	} else {
		var full bool
		if full, err = mend(f, path, st, whole); full {
			return "", nil // the segment stays open, which can be read, until a process can write what is to say of it
		}
	}
	if err != nil {
		return "", err
	}
	closed := closedPath(path)
	if err := os.Rename(path, closed); err != nil {
		return "", assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be closed: %w", bare(err))
	}
	return closed, nil
}

// cutLine cuts a segment of an earlier version after its last whole line.
func cutLine(f *os.File, size int64) error {
	for one := make([]byte, 1); size > 0; size-- {
		if _, err := f.ReadAt(one, size-1); err != nil {
			return assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be read: %w", bare(err))
		}
		if one[0] == '\n' {
			break
		}
	}
	if err := f.Truncate(size); err != nil {
		return assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be cut: %w", bare(err))
	}
	return nil
}

// mend leaves of a segment the records that are whole, and says in it that it was not closed and what else is missing. It reports whether
// there was no room on the disk for that.
func mend(f *os.File, path string, st os.FileInfo, whole bool) (full bool, err error) {
	x, err := newRecordReader(f)
	var end int64
	for err == nil {
		_, err = x.next()
		end = x.at
	}
	torn := errors.Is(err, errTorn)
	if !torn && end == 0 {
		head := make([]byte, len(logKind))
		if _, err := f.ReadAt(head, 0); err == nil && string(head) == logKind {
			return true, nil // of a later version, which can close it
		}
	}
	at, left := st.ModTime(), st.Size()-end
	if whole && torn {
		if err := f.Truncate(end); err != nil {
			return false, assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be cut: %w", bare(err))
		}
		if end == 0 {
			_, err = f.WriteAt([]byte(logMagic), 0)
			return err != nil, nil
		}
		return false, nil
	}
	if st.Size() > maxMended || torn && left <= frameHead {
		return finishAt(f, end, at, left, torn)
	}
	rest := make([]byte, left)
	if _, err := f.ReadAt(rest, end); err != nil && !errors.Is(err, io.EOF) {
		return false, assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be read: %w", bare(err))
	}
	if torn && nextRecord(rest, 0) < 0 {
		return finishAt(f, end, at, left, torn)
	}
	return rewrite(f, path, end, rest, at), nil
}

// maxMended is the largest segment of which records behind a damaged one are looked for: it is read into memory.
const maxMended = 4 * DefaultLogSegmentBytes

// finishAt cuts a segment after its whole records and says behind them what is missing: left bytes, which were torn off or are damaged.
func finishAt(f *os.File, end int64, at time.Time, left int64, torn bool) (full bool, err error) {
	if err := f.Truncate(end); err != nil {
		return false, assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be cut: %w", bare(err))
	}
	var b []byte
	if end == 0 {
		b = append(b, logMagic...)
	}
	name := strings.TrimSuffix(filepath.Base(f.Name()), openSuffix)
	m := Missing{Segment: name, What: Unclosed, Bytes: left}
	if !torn {
		b = recordOfLoss(b, at, 1, Missing{Segment: name, What: Damaged, Bytes: left}.String())
		m.Bytes = 0
	}
	_, err = f.WriteAt(recordOfLoss(b, at, 0, m.String()), end)
	return err != nil, nil
}

// rewrite replaces a segment by one of its whole records, those behind damaged ones too. rest are the bytes from the first damaged record on.
// It reports whether that could not be written: the segment is as it was then.
func rewrite(f *os.File, path string, end int64, rest []byte, at time.Time) (full bool) {
	next := filepath.Join(filepath.Dir(path), stem(path)+".next")
	out, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return true
	}
	defer os.Remove(next) // unless it has become the segment
	defer out.Close()
	d := lineWriter{w: io.Discard, layouts: map[uint64]*layout{}}
	if end == 0 {
		_, err = out.WriteString(logMagic)
	} else {
		_, err = io.Copy(out, io.NewSectionReader(f, 0, end))
		x, headErr := newRecordReader(io.NewSectionReader(f, 0, end))
		for headErr == nil { // so that the layouts are known that calls behind the damage have
			var rec []byte
			if rec, headErr = x.next(); headErr == nil {
				d.record(rec)
				d.flush(0)
			}
		}
	}
	gap := Missing{Segment: stem(path), What: Damaged}
	for i := 0; i < len(rest) && err == nil; {
		n := recordAt(rest, i)
		whole := n > 0 && d.record(rest[i+frameHead:i+n]) // a call whose layout is among the damaged is lost with it
		d.flush(0)
		if n == 0 {
			if n = nextRecord(rest, i) - i; n < 0 {
				n = len(rest) - i
			}
		}
		if whole {
			_, err = out.Write(rest[i : i+n])
		} else {
			gap.Rows, gap.Bytes = gap.Rows+1, gap.Bytes+int64(n)
		}
		i += n
	}
	if err == nil {
		b := recordOfLoss(nil, at, gap.Rows, gap.String())
		_, err = out.Write(recordOfLoss(b, at, 0, Missing{Segment: gap.Segment, What: Unclosed}.String()))
	}
	if err == nil {
		err = out.Sync()
	}
	return err != nil || os.Rename(next, path) != nil
}

// recordAt is the length of the record that begins there, its head included; 0 when there is no whole one.
func recordAt(b []byte, at int) int {
	if len(b)-at <= frameHead {
		return 0
	}
	n := binary.LittleEndian.Uint32(b[at:])
	if n == 0 || int64(n) > min(maxRecord, int64(len(b)-at-frameHead)) {
		return 0
	}
	if crc32.Checksum(b[at+frameHead:at+frameHead+int(n)], castagnoli) != binary.LittleEndian.Uint32(b[at+4:]) {
		return 0
	}
	return frameHead + int(n)
}

// nextRecord finds where the next whole record begins behind a damaged one; -1 where none does. The length of the damaged one is believed
// where a record follows it. Else each byte could be the first of a record; those of more than maxBatch bytes are not looked for, so that few
// checksums are computed in vain.
func nextRecord(b []byte, damaged int) int {
	if len(b)-damaged > frameHead {
		if k := int64(damaged) + frameHead + int64(binary.LittleEndian.Uint32(b[damaged:])); k < int64(len(b)) && recordAt(b, int(k)) > 0 {
			return int(k)
		}
	}
	for i := damaged + 1; i+frameHead < len(b); i++ {
		n := binary.LittleEndian.Uint32(b[i:])
		if kind := b[i+frameHead]; n == 0 || n > maxBatch || kind < recordLayout || kind > recordEnded {
			continue
		}
		if recordAt(b, i) > 0 {
			return i
		}
	}
	return -1
}
