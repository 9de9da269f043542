package table

import (
	"context"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/assay-ml/assay"
)

// Characters says what the texts of a column are made of: how many characters of each class of Unicode all rows hold together, and
// how many rows are of a kind that deserves a look.
type Characters struct {
	Letters     int64 `json:"letters"`
	Digits      int64 `json:"digits"`
	Spaces      int64 `json:"spaces"`
	Punctuation int64 `json:"punctuation"`
	Symbols     int64 `json:"symbols"`
	Others      int64 `json:"others"`      // controls, marks, unassigned, bytes that are no UTF-8
	NonASCII    int64 `json:"non_ascii"`   // rows with a character beyond ASCII
	DigitsOnly  int64 `json:"digits_only"` // rows of digits alone
	Padded      int64 `json:"padded"`      // rows with a space at an end
	Blank       int64 `json:"blank"`       // rows that are empty or only spaces
}

// add counts one text that n rows hold, and returns its length in characters.
func (c *Characters) add(s string, n int64) int64 {
	var letters, digits, spaces, others, wide int64
	length := int64(0)
	for i := 0; i < len(s); length++ {
		b := s[i]
		if b < utf8.RuneSelf {
			i++
			switch {
			case b|0x20 >= 'a' && b|0x20 <= 'z':
				letters++
			case b >= '0' && b <= '9':
				digits++
			case b == ' ' || b >= '\t' && b <= '\r':
				spaces++
			case b < ' ' || b == 0x7f:
				others++
			case strings.IndexByte("$+<=>^`|~", b) >= 0:
				c.Symbols += n
			default:
				c.Punctuation += n
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		wide++
		switch {
		case r == utf8.RuneError && size == 1:
			others++
		case unicode.IsLetter(r):
			letters++
		case unicode.IsDigit(r):
			digits++
		case unicode.IsSpace(r):
			spaces++
		case unicode.IsPunct(r):
			c.Punctuation += n
		case unicode.IsSymbol(r):
			c.Symbols += n
		default:
			others++
		}
	}
	c.Letters, c.Digits, c.Spaces, c.Others = c.Letters+letters*n, c.Digits+digits*n, c.Spaces+spaces*n, c.Others+others*n
	if wide > 0 {
		c.NonASCII += n
	}
	if digits > 0 && digits == length {
		c.DigitsOnly += n
	}
	if spaces == length {
		c.Blank += n
	} else if strings.TrimSpace(s) != s {
		c.Padded += n
	}
	return length
}

// A lexicon gathers the texts of one column.
type lexicon struct {
	index   map[string]uint32
	texts   []string
	counts  []int64
	bytes   int
	chars   Characters
	binary  bool
	rows    int64
	nulls   int64
	total   int64 // of lengths
	lengths Lengths
	full    bool // too many distinct texts to keep
}

// take counts a text that n rows hold.
func (l *lexicon) take(s string, n int64) {
	length := int64(len(s))
	if !l.binary {
		length = l.chars.add(s, n)
	}
	if l.lengths.Max < 0 {
		l.lengths.Min, l.lengths.Max = length, length
	}
	l.lengths.Min, l.lengths.Max = min(l.lengths.Min, length), max(l.lengths.Max, length)
	l.total += length * n
}

// spill gives up on keeping the distinct texts; what was counted is kept.
func (l *lexicon) spill() {
	for i, s := range l.texts {
		l.take(s, l.counts[i])
	}
	l.full, l.index, l.texts, l.counts = true, nil, nil, nil
}

func (l *lexicon) add(v *vector, n int, codes []uint16) []uint16 {
	last, lastCode := "", uint32(0)
	for i := range n {
		l.rows++
		if v.null(i) {
			l.nulls++
			codes = append(codes, 0)
			continue
		}
		s := v.text(i)
		if l.full {
			l.take(s, 1)
			continue
		}
		if lastCode == 0 || s != last {
			code, ok := l.index[s]
			if !ok {
				if len(l.texts) == MaxCodes || l.bytes+len(s) > maxTextBytes {
					l.spill()
					codes = nil
					l.take(s, 1)
					continue
				}
				s = strings.Clone(s)
				l.bytes += len(s)
				l.texts, l.counts = append(l.texts, s), append(l.counts, 0)
				code = uint32(len(l.texts))
				l.index[s] = code
			}
			last, lastCode = s, code
		}
		l.counts[lastCode-1]++
		codes = append(codes, uint16(lastCode))
	}
	if l.full {
		return nil
	}
	return codes
}

// examineTexts reads some columns of text, all at once. Where one has too many distinct texts to keep, a grouped count in the database
// tells how many, and which are frequent.
func (t *Table) examineTexts(ctx context.Context, fields []assay.Field, o *ExamineOptions) ([]*Examined, error) {
	lexica, codes := make([]lexicon, len(fields)), make([][]uint16, len(fields))
	for i, f := range fields {
		lexica[i] = lexicon{index: map[string]uint32{}, binary: f.Type == assay.TypeBinary, lengths: Lengths{Max: -1}}
		codes[i] = make([]uint16, 0, t.rows)
	}
	r, err := t.engine.query(ctx, "SELECT "+idents(fields)+" FROM "+t.read(fields, o.Where))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for r.nextChunk() {
		for i := range lexica {
			codes[i] = lexica[i].add(&r.vectors[i], r.size, codes[i])
		}
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	out := make([]*Examined, len(fields))
	for i, f := range fields {
		if out[i], err = t.examineLexicon(ctx, f, &lexica[i], codes[i], o); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// examineLexicon describes a column whose texts are read.
func (t *Table) examineLexicon(ctx context.Context, f assay.Field, l *lexicon, codes []uint16, o *ExamineOptions) (*Examined, error) {
	e := &Examined{Summary: Summary{Name: f.Name, Type: f.Type, Rows: l.rows, Nulls: l.nulls, Top: []Frequency{}}, AUC: math.NaN()}
	if l.full {
		if err := t.countTexts(ctx, &e.Summary, f, Ident(f.Name), &o.SummaryOptions, false); err != nil {
			return nil, err
		}
	} else {
		l.finish(e, codes, o.Top)
	}
	if !l.binary {
		characters := l.chars
		e.Characters = &characters
	}
	lengths := l.lengths // the lexicon is large and goes
	e.Lengths = &lengths
	e.Lengths.Max = max(e.Lengths.Max, 0)
	e.Lengths.Mean = assay.Number(float64(l.total) / float64(l.rows-l.nulls))
	return e, nil
}

// finish sorts the distinct texts, renumbers the codes and finds the most frequent.
func (l *lexicon) finish(e *Examined, codes []uint16, top int) {
	order := make([]uint32, len(l.texts))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return strings.Compare(l.texts[a], l.texts[b]) })
	to := make([]uint32, len(order)+1)
	e.Texts, e.Counts = make([]string, len(order)), make([]int64, len(order))
	for i, old := range order {
		s := l.texts[old]
		to[old+1] = uint32(i + 1)
		e.Texts[i], e.Counts[i] = s, l.counts[old]
		l.take(s, l.counts[old])
		e.Distinct++
		if l.counts[old] == 1 {
			e.Unique++
		}
		if !l.binary {
			e.Top = pushTop(e.Top, top, l.counts[old], func() string { return s })
		}
	}
	e.Codes = makeCodes(len(codes), len(order))
	for i, c := range codes {
		e.Codes.set(i, to[c])
	}
}
