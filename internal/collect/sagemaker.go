package collect

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/assay-ml/assay"
)

// MaxLine is how many bytes a line of a log may have; a longer one is skipped and counted.
const MaxLine = 32 << 20

// Counts say what was read, and what could not be.
type Counts struct {
	Exchanges int64            `json:"exchanges"` // that were logged
	Rows      int64            `json:"rows"`
	Skipped   map[string]int64 `json:"skipped"` // lines or exchanges, by reason
	First     map[string]int64 `json:"first"`   // number of the first one, from 1, by reason
}

// Skip counts what could not be read.
func (c *Counts) Skip(reason string, number int64) {
	if c.Skipped == nil {
		c.Skipped, c.First = map[string]int64{}, map[string]int64{}
	}
	if c.Skipped[reason]++; c.First[reason] == 0 {
		c.First[reason] = number
	}
}

// Add adds what another source gave.
func (c *Counts) Add(o Counts) {
	c.Exchanges += o.Exchanges
	c.Rows += o.Rows
	for reason, n := range o.Skipped {
		c.Skip(reason, o.First[reason])
		c.Skipped[reason] += n - 1
	}
}

// text is a file as its text: what is gzip is unpacked, whatever it is called, and the mark of UTF-8 at its beginning is left out. Errors are Rejected.
func text(r io.Reader) (*bufio.Reader, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	if head, _ := b.Peek(2); string(head) == "\x1f\x8b" {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, assay.Errorf(assay.Rejected, "it begins as gzip and is none")
		}
		b = bufio.NewReaderSize(z, 1<<16)
	}
	head, _ := b.Peek(3)
	switch {
	case string(head) == "\xef\xbb\xbf":
		_, _ = b.Discard(3)
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return nil, assay.Errorf(assay.Rejected, "it is UTF-16, and lines of JSON are UTF-8").Try("iconv -f UTF-16 -t UTF-8")
	}
	return b, nil
}

// lines calls each for every line that is not empty. A line that is too long is skipped.
func lines(r io.Reader, counts *Counts, each func(number int64, line []byte) error) error {
	b, err := text(r)
	if err != nil {
		return err
	}
	var line []byte
	for number := int64(1); ; number++ {
		line = line[:0]
		long := false
		for {
			part, err := b.ReadSlice('\n')
			if long = long || len(line)+len(part) > MaxLine; !long {
				line = append(line, part...)
			}
			if err == nil {
				break
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.As(err, new(flate.CorruptInputError)) {
				return assay.Errorf(assay.Rejected, "line %d cannot be read: the gzip is damaged, or ends before it should", number)
			}
			if !errors.Is(err, io.EOF) {
				return assay.Errorf(assay.Unavailable, "line %d cannot be read: %w", number, err)
			}
			if long {
				counts.Skip("a line that is too long", number)
			} else if t := bytes.TrimSpace(line); len(t) > 0 {
				return each(number, t)
			}
			return nil
		}
		if long {
			counts.Skip("a line that is too long", number)
			continue
		}
		if t := bytes.TrimSpace(line); len(t) > 0 {
			if err := each(number, t); err != nil {
				return err
			}
		}
	}
}

// captured is one side of SageMaker's data capture.
type captured struct {
	ContentType string `json:"observedContentType"`
	Data        string `json:"data"`
	Encoding    string `json:"encoding"`
}

func (c *captured) body() (Body, error) {
	switch c.Encoding {
	case "JSON", "CSV":
		if c.ContentType == "" {
			c.ContentType = map[string]string{"JSON": "application/json", "CSV": "text/csv"}[c.Encoding]
		}
		return Body{c.ContentType, []byte(c.Data)}, nil
	case "BASE64":
		b, err := base64.StdEncoding.DecodeString(c.Data)
		if err != nil {
			return Body{}, assay.Errorf(assay.Invalid, "data that are not base64")
		}
		return Body{c.ContentType, b}, nil
	}
	return Body{}, assay.Errorf(assay.Invalid, "an encoding that is none of JSON, CSV and BASE64")
}

// Capture reads SageMaker's data capture (JSON Lines) and calls record for each exchange. The id is the caller's inference id where there
// is one, the event's otherwise. A line that cannot be read, or whose event seen has, is counted; errors are those of reading and of
// record.
func Capture(r io.Reader, seen *Seen, record func(number int64, x *Exchange) error) (Counts, error) {
	var counts Counts
	err := lines(r, &counts, func(number int64, line []byte) error {
		var doc struct {
			Data struct {
				Input  *captured `json:"endpointInput"`
				Output *captured `json:"endpointOutput"`
			} `json:"captureData"`
			Event struct {
				ID        string `json:"eventId"`
				Inference string `json:"inferenceId"`
				Time      string `json:"inferenceTime"`
			} `json:"eventMetadata"`
			Version string `json:"eventVersion"`
		}
		if json.Unmarshal(line, &doc) != nil {
			counts.Skip("a line that is not a capture", number)
			return nil
		}
		x := &Exchange{ID: doc.Event.ID, Event: doc.Event.ID}
		if doc.Event.Inference != "" {
			x.ID = doc.Event.Inference
		}
		at, err := time.Parse(time.RFC3339Nano, doc.Event.Time)
		x.At = at
		switch {
		case doc.Version != "0":
			counts.Skip("an eventVersion other than 0", number)
		case x.ID == "":
			counts.Skip("a line without eventId", number)
		case err != nil:
			counts.Skip("an inferenceTime that is no time", number)
		case x.Event != "" && seen.Has(x.Event):
			counts.Skip(ReasonRepeated, number)
		case doc.Data.Input == nil:
			counts.Skip("an answer without its request", number)
		case doc.Data.Output == nil:
			counts.Skip("a request without its answer", number)
		default:
			if x.Request, err = doc.Data.Input.body(); err == nil {
				x.Response, err = doc.Data.Output.body()
			}
			if err != nil {
				counts.Skip(err.Error(), number)
				return nil
			}
			if x.Event != "" {
				seen.Add(x.Event)
			}
			return record(number, x)
		}
		return nil
	})
	return counts, err
}

// A Truth is what came out of one request, as SageMaker's ground truth has it: one value, or one for each row.
type Truth struct {
	ID     string // inference id or event id
	Values []string
}

// maxTruths bounds the values of one line.
const maxTruths = 1 << 16

// truthValues reads the values of the rows of a request, in their order, from CSV: one line with a value for each row, or a line for each row with
// its value. An empty value, or line, is that of a row without a label. why says what is wrong.
func truthValues(data string) (values []string, why string) {
	rest := strings.TrimSuffix(strings.ReplaceAll(data, "\r\n", "\n"), "\n")
	lines, wide := 1, false
	for more := true; more; {
		var cell string
		rest = strings.TrimLeft(rest, " \t")
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for end < len(rest) && (rest[end] != '"' || strings.HasPrefix(rest[end:], `""`)) {
				if rest[end] == '"' {
					end++
				}
				end++
			}
			if end >= len(rest) {
				return nil, "values that are not CSV"
			}
			cell, rest = strings.ReplaceAll(rest[1:end], `""`, `"`), strings.TrimLeft(rest[end+1:], " \t")
			if rest != "" && rest[0] != ',' && rest[0] != '\n' {
				return nil, "values that are not CSV"
			}
		} else {
			end := strings.IndexAny(rest, ",\n")
			if end < 0 {
				end = len(rest)
			}
			cell, rest = strings.TrimSpace(rest[:end]), rest[end:]
		}
		if values = append(values, cell); len(values) > maxTruths {
			return nil, "a line with too many values"
		}
		if more = rest != ""; more {
			if rest[0] == ',' {
				wide = true
			} else {
				lines++
			}
			rest = rest[1:]
		}
	}
	if wide && lines > 1 {
		return nil, "several lines of several values"
	}
	if !slices.ContainsFunc(values, func(v string) bool { return v != "" }) {
		return nil, "a line without a value"
	}
	return values, ""
}

// GroundTruth reads SageMaker's ground truth (JSON Lines) and calls each for every line that can be read.
func GroundTruth(r io.Reader, each func(number int64, t Truth) error) (Counts, error) {
	var counts Counts
	err := lines(r, &counts, func(number int64, line []byte) error {
		var doc struct {
			Data struct {
				Data     string `json:"data"`
				Encoding string `json:"encoding"`
			} `json:"groundTruthData"`
			Event struct {
				ID        string `json:"eventId"`
				Inference string `json:"inferenceId"`
			} `json:"eventMetadata"`
			Version string `json:"eventVersion"`
		}
		if json.Unmarshal(line, &doc) != nil {
			counts.Skip("a line that is not ground truth", number)
			return nil
		}
		t := Truth{ID: doc.Event.ID}
		if doc.Event.Inference != "" {
			t.ID = doc.Event.Inference
		}
		switch {
		case doc.Version != "0":
			counts.Skip("an eventVersion other than 0", number)
		case t.ID == "":
			counts.Skip("a line without eventId", number)
		case doc.Data.Encoding != "CSV":
			counts.Skip("an encoding that is not CSV", number)
		default:
			values, why := truthValues(doc.Data.Data)
			if why != "" {
				counts.Skip(why, number)
				return nil
			}
			t.Values = values
			counts.Exchanges++
			counts.Rows += int64(len(t.Values))
			return each(number, t)
		}
		return nil
	})
	return counts, err
}
