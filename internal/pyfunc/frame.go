package pyfunc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// maxFrame is the largest frame that is read from a worker.
const maxFrame = 256 << 20

var errFrame = errors.New("the worker sent what is no answer")

// readFrame reads a frame: a length and that many bytes. It allocates no more than has arrived, and a little.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if int64(n) > int64(limit) {
		return nil, fmt.Errorf("%w: a frame of %d bytes, of at most %d", errFrame, n, limit)
	}
	const step = 1 << 20
	out := make([]byte, 0, min(int(n), step))
	for len(out) < int(n) {
		at := len(out)
		more := min(int(n)-at, step)
		out = append(out, make([]byte, more)...)
		if _, err := io.ReadFull(r, out[at:]); err != nil {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return out, nil
}

// An Answer is what a model said about the rows of a request: one value a row, or Width of them. One of the slices is used.
type Answer struct {
	Rows   int
	Width  int // 0: a value a row
	Names  []string
	Floats []float64
	Ints   []int64
	Bools  []bool
	Texts  []string
}

// errModel is an exception of the model; its text says its type and place and never holds data.
type errModel struct{ what string }

func (e *errModel) Error() string { return "the model failed: " + e.what }

// decodeAnswer reads the answer to the request of that id. The error is an errModel, or errFrame for all that is not an answer.
func decodeAnswer(b []byte, id uint64) (*Answer, error) {
	if len(b) < 9 || b[0] != 'A' && b[0] != 'E' || binary.LittleEndian.Uint64(b[1:]) != id {
		return nil, errFrame
	}
	if b[0] == 'E' {
		return nil, &errModel{printable(b[9:])}
	}
	b = b[9:]
	if len(b) < 2 || b[1] > 2 {
		return nil, errFrame
	}
	kind, dims := b[0], int(b[1])
	b = b[2:]
	if dims == 0 || len(b) < 4*dims+4 {
		return nil, errFrame
	}
	a := &Answer{Rows: int(binary.LittleEndian.Uint32(b))}
	count := a.Rows
	if dims == 2 {
		if a.Width = int(binary.LittleEndian.Uint32(b[4:])); a.Width == 0 || a.Rows > maxFrame/a.Width {
			return nil, errFrame
		}
		count *= a.Width
	}
	b = b[4*dims:]
	n := int(binary.LittleEndian.Uint32(b))
	b = b[4:]
	if n > len(b) {
		return nil, errFrame
	}
	var ok bool
	if a.Names, ok = decodeTexts(b[:n], -1); !ok || len(a.Names) != 0 && len(a.Names) != a.Width {
		return nil, errFrame
	}
	b = b[n:]
	width := 8
	if kind == 'b' {
		width = 1
	}
	if kind != 's' && len(b) != count*width {
		return nil, errFrame
	}
	switch kind {
	case 'f':
		a.Floats = make([]float64, count)
		for i := range a.Floats {
			a.Floats[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
	case 'i':
		a.Ints = make([]int64, count)
		for i := range a.Ints {
			a.Ints[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
		}
	case 'b':
		a.Bools = make([]bool, count)
		for i := range a.Bools {
			a.Bools[i] = b[i] != 0
		}
	case 's':
		if a.Texts, ok = decodeTexts(b, count); !ok || dims != 1 {
			return nil, errFrame
		}
	default:
		return nil, errFrame
	}
	return a, nil
}

// decodeTexts reads texts, each with its length before it; want is how many there must be, or -1.
func decodeTexts(b []byte, want int) ([]string, bool) {
	if want > len(b)/4 {
		return nil, false
	}
	var out []string
	for len(b) >= 4 {
		n := int64(binary.LittleEndian.Uint32(b))
		if n > int64(len(b)-4) {
			return nil, false
		}
		out = append(out, string(b[4:4+n]))
		b = b[4+n:]
	}
	return out, len(b) == 0 && (want < 0 || len(out) == want)
}

// rows are the rows lo to hi of an answer.
func (a *Answer) rows(lo, hi int) *Answer {
	w := max(a.Width, 1)
	out := &Answer{Rows: hi - lo, Width: a.Width, Names: a.Names}
	switch {
	case a.Floats != nil:
		out.Floats = a.Floats[lo*w : hi*w]
	case a.Ints != nil:
		out.Ints = a.Ints[lo*w : hi*w]
	case a.Bools != nil:
		out.Bools = a.Bools[lo*w : hi*w]
	case a.Texts != nil:
		out.Texts = a.Texts[lo*w : hi*w]
	}
	return out
}

// printable is text of a worker, for people.
func printable(b []byte) string {
	out := []rune{}
	for _, r := range string(b[:min(len(b), 2000)]) {
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		out = append(out, r)
	}
	return string(out)
}
