package table

import (
	"bytes"
	"io"

	"github.com/assay-ml/assay"
)

// scanBuffer is what a scanner reads at once. A record may be longer: the buffer grows to hold one.
const scanBuffer = 1 << 20

// A dialect is how records are written as text. Quotes inside a quoted field are doubled (RFC 4180).
type dialect struct {
	delimiter byte
	quote     byte // 0: none
}

// A cell is one field of a record, as offsets into the scanner's buffer.
type cell struct {
	start, end int
	quoted     bool // the quotes are outside start and end
	doubled    bool // holds doubled quotes
}

// A scanner cuts a stream into records without copying. It never fails on what is between the newlines: what is wrong with a record is
// counted, so that all of it can be reported.
type scanner struct {
	r       io.Reader
	d       dialect
	buf     []byte
	pos     int // of the next record
	limit   int // of the bytes in buf
	eof     bool
	cells   []cell
	line    int64 // of the record's first line, from 1
	next    int64 // line at pos
	start   int   // of the record in buf
	bytes   int64 // read so far
	longest int   // bytes of the longest record

	lf, crlf, cr int64 // record ends by kind
	blank        int64 // empty lines; in a file of one column they are records
	folded       int64 // quoted fields with line ends inside
	loose        int64 // unquoted fields with a quote inside
	stray        places
	nul          places
	open         int64 // line of a quote that is never closed
}

// places counts something and keeps the first few lines where it is.
type places struct {
	count int64
	lines []int64
}

// firstPlaces is how many lines an error names.
const firstPlaces = 5

func (p *places) add(line int64) {
	p.count++
	if len(p.lines) < firstPlaces {
		p.lines = append(p.lines, line)
	}
}

func newScanner(r io.Reader, d dialect) *scanner {
	return &scanner{r: r, d: d, buf: make([]byte, scanBuffer), next: 1}
}

// fill reads more, keeping everything from the current record on. It reports whether there is more.
func (s *scanner) fill() (bool, error) {
	if s.eof {
		return false, nil
	}
	if s.start > 0 {
		copy(s.buf, s.buf[s.start:s.limit])
		s.limit -= s.start
		s.pos -= s.start
		s.start = 0
	}
	if s.limit == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for {
		n, err := s.r.Read(s.buf[s.limit:])
		if i := bytes.IndexByte(s.buf[s.limit:s.limit+n], 0); i >= 0 {
			s.nul.add(s.next + int64(bytes.Count(s.buf[s.pos:s.limit+i], []byte{'\n'})))
		}
		s.limit += n
		s.bytes += int64(n)
		if err == io.EOF {
			s.eof = true
			return n > 0, nil
		}
		if err != nil {
			return false, err
		}
		if n > 0 {
			return true, nil
		}
	}
}

// record reads the next record into cells. It returns false at the end of the stream. An empty line is a record of one empty cell.
func (s *scanner) record() (bool, error) {
	s.start = s.pos
	s.line = s.next
	for {
		done, ok := s.cut()
		if done {
			if n := s.pos - s.start; n > s.longest {
				s.longest = n
			}
			return ok, nil
		}
		if _, err := s.fill(); err != nil {
			return false, err
		}
	}
}

// cut tries to cut one record from the buffer. It is not done if the buffer ends too early, and then starts over after fill.
func (s *scanner) cut() (done, ok bool) {
	b, p, limit := s.buf[:s.limit], s.start, s.limit
	s.cells = s.cells[:0]
	line := s.line
	if p >= limit {
		if s.eof {
			return true, false
		}
		return false, false
	}
	delimiter, quote := s.d.delimiter, s.d.quote
	loose, folded, stray := 0, 0, false
	for {
		c := cell{start: p}
		if p < limit && quote != 0 && b[p] == quote {
			c.quoted = true
			c.start = p + 1
			p++
			for {
				i := bytes.IndexByte(b[p:], quote)
				if i < 0 {
					if !s.eof {
						return false, false
					}
					s.open = s.line
					c.end = limit
					s.cells = append(s.cells, c)
					s.pos = limit
					return true, true
				}
				p += i + 1
				if p >= limit && !s.eof {
					return false, false
				}
				if p < limit && b[p] == quote {
					c.doubled = true
					p++
					continue
				}
				break
			}
			c.end = p - 1
			if n := bytes.Count(b[c.start:c.end], []byte{'\n'}); n > 0 || bytes.IndexByte(b[c.start:c.end], '\r') >= 0 {
				line += int64(n)
				folded++
			}
			if p < limit && b[p] != delimiter && b[p] != '\n' && b[p] != '\r' {
				stray = true
				for p < limit && b[p] != delimiter && b[p] != '\n' && b[p] != '\r' {
					p++
				}
			}
		} else {
			for p < limit {
				x := b[p]
				if x == delimiter || x == '\n' || x == '\r' {
					break
				}
				if x == quote && quote != 0 {
					loose++
				}
				p++
			}
			c.end = p
		}
		if p >= limit && !s.eof {
			return false, false
		}
		s.cells = append(s.cells, c)
		if p < limit && b[p] == delimiter {
			p++
			continue
		}
		break
	}
	switch {
	case p >= limit:
	case b[p] == '\n':
		s.lf++
		p++
		line++
	case p+1 >= limit && !s.eof:
		return false, false
	case p+1 < limit && b[p+1] == '\n':
		s.crlf++
		p += 2
		line++
	default:
		s.cr++
		p++
		line++
	}
	if len(s.cells) == 1 && !s.cells[0].quoted && s.cells[0].start == s.cells[0].end {
		s.blank++
	}
	s.folded += int64(folded)
	if loose > 0 {
		s.loose++
	}
	if stray {
		s.stray.add(s.line)
	}
	s.pos = p
	s.next = line
	return true, true
}

// text returns a cell's content without quotes. It is borrowed from the buffer unless quotes had to be undoubled.
func (s *scanner) text(c cell) []byte {
	b := s.buf[c.start:c.end]
	if c.doubled {
		return bytes.ReplaceAll(b, []byte{s.d.quote, s.d.quote}, []byte{s.d.quote})
	}
	return b
}

// isBlank reports whether the current record is an empty line.
func (s *scanner) isBlank() bool {
	return len(s.cells) == 1 && !s.cells[0].quoted && s.cells[0].start == s.cells[0].end
}

// plain reports whether DuckDB reads the text as this scanner does without help: one kind of newline, no empty lines, no quotes inside
// unquoted fields, no line ends inside fields where lines end in two characters.
func (s *scanner) plain() bool {
	return (s.crlf == 0 || s.folded == 0) && s.cr == 0 && (s.lf == 0 || s.crlf == 0) && s.blank == 0 && s.loose == 0
}

// delimiters are tried in this order.
const delimiters = ",\t;|"

// detect chooses the delimiter from the beginning of a file: the one that cuts the most records into the same number of fields, at
// least two. Without any the text is one column and the delimiter is a comma, or a tab for a .tsv file. complete says that the sample is the whole file.
func detect(sample []byte, quote byte, tab, complete bool) byte {
	best, bestScore := byte(','), 0.0
	if tab {
		best = '\t'
	}
	for i := range delimiters {
		d := delimiters[i]
		s := newScanner(bytes.NewReader(sample), dialect{d, quote})
		widths, n := map[int]int{}, 0
		last := 0
		for {
			ok, err := s.record()
			if !ok || err != nil {
				break
			}
			if s.isBlank() {
				continue
			}
			last = len(s.cells)
			widths[last]++
			n++
		}
		if !complete && n > 1 {
			widths[last]--
			n--
		}
		width, count := 0, 0
		for w, c := range widths {
			if w > 1 && (c > count || c == count && w > width) {
				width, count = w, c
			}
		}
		if n == 0 || width < 2 {
			continue
		}
		score := float64(count) / float64(n) * (1 - 1/float64(width+1))
		if tab && d == '\t' {
			score += 0.01
		}
		if score > bestScore+1e-9 {
			best, bestScore = d, score
		}
	}
	return best
}

// fault describes what makes the stream unreadable as records, or nil.
func (s *scanner) fault(name string) error {
	var bad assay.Problems
	if s.nul.count > 0 {
		bad.Add("%d stretches of it hold NUL bytes, first near line %d: this is not text", s.nul.count, s.nul.lines[0])
	}
	if s.open > 0 {
		bad.Add("a quoted field in the record on line %d is never closed: the file is cut off or a quote is not doubled", s.open)
	}
	if s.stray.count > 0 {
		bad.Add("%d records have text after a closing quote (quotes inside a field must be doubled): lines %s", s.stray.count, s.stray.list())
	}
	return bad.ErrTry(assay.Rejected, name+" cannot be read without loss", "mend the file at these lines")
}
