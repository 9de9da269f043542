package monitor

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// Limits of a request with labels.
const (
	MaxLabelBody  = 8 << 20 // bytes
	MaxLabels     = 10_000
	maxLabelKey   = 1024 // bytes of a key, or of the id of a request
	maxLabelValue = 256  // bytes of a label
	maxLabelFault = 20   // labels that an error names
)

// ReadLabelRequest reads {"labels": [{"key": "17", "label": "yes", "came": "2026-01-31T12:00:00Z"}, …]}; a key of several columns is an array, and
// {"request_id": "r1", "row": 0} takes its place where join is JoinRequest. A label is a string, a number or a boolean; came may be left out. Every
// label that cannot be taken is named by its place, never by its content, and then none is taken. Labels from the future have come now; ahead says
// how many.
func ReadLabelRequest(b []byte, join []string, now time.Time) (labels []Label, ahead int64, err error) {
	r := &schema.Reader{}
	r.Reset(b, 8)
	var bad assay.Problems
	count := 0
	if r.Kind() != schema.JSONObject {
		return nil, 0, assay.Errorf(assay.Invalid, "the body is no JSON object").Try(`{"labels": [{"key": "17", "label": "yes"}]}`)
	}
	seen := false
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			break
		}
		if string(key) != "labels" || seen || r.Kind() != schema.JSONArray {
			return nil, 0, assay.Errorf(assay.Invalid, "the body is no object with the one key labels, an array").Try(`{"labels": [{"key": "17", "label": "yes"}]}`)
		}
		seen = true
		for more := r.Enter(); more; more = r.More() {
			if count++; count > MaxLabels {
				return nil, 0, assay.Errorf(assay.Invalid, "more than %s labels in one request", assay.FormatCount(MaxLabels)).Try("send them in several requests, or assay labels add FILE")
			}
			l, late, problem := readLabel(r, join, now)
			if r.Err() != nil {
				break
			}
			if late {
				ahead++
			}
			if problem != "" {
				if len(bad) < maxLabelFault {
					bad.Add("label %d: %s", count-1, problem)
				} else if len(bad) == maxLabelFault {
					bad.Add("and more")
				}
			}
			labels = append(labels, l)
		}
	}
	r.End()
	if err := r.Err(); err != nil {
		return nil, 0, err
	}
	if count == 0 {
		return nil, 0, assay.Errorf(assay.Invalid, "the body has no labels").Try(`{"labels": [{"key": "17", "label": "yes"}]}`)
	}
	if err := bad.Err(assay.Invalid, "the labels are not taken"); err != nil {
		return nil, 0, err
	}
	return labels, ahead, nil
}

// readLabel reads one label. What is wrong with JSON itself is the reader's fault; everything else is the problem.
func readLabel(r *schema.Reader, join []string, now time.Time) (l Label, ahead bool, problem string) {
	if r.Kind() != schema.JSONObject {
		r.Skip()
		return l, false, "no object"
	}
	fault := func(s string) {
		if problem == "" {
			problem = s
		}
	}
	l.Came, l.Index = now, -1
	var have []string
	for more := r.Enter(); more; more = r.More() {
		k, ok := r.Key()
		if !ok {
			return l, false, ""
		}
		key := string(k)
		if slices.Contains(have, key) {
			fault("the same key twice")
		}
		switch have = append(have, key); key {
		case "key":
			if l.Key, ok = readKey(r, len(join)); !ok {
				fault("the key is none of text, a number, or an array of as many as there are columns")
			}
		case "request_id":
			s, ok := scalar(r)
			if l.Request = s; !ok || s == "" || len(s) > maxLabelKey {
				fault("request_id is no text of 1 to 1024 bytes")
			}
		case "row":
			s, ok := scalar(r)
			n, err := strconv.ParseInt(s, 10, 64)
			if l.Index = n; !ok || err != nil || n < 0 {
				fault("row is no number of a row, from 0")
			}
		case "label":
			s, ok := scalar(r)
			if l.Value = s; !ok || s == "" || len(s) > maxLabelValue {
				fault("the label is no text of 1 to 256 bytes, no number and no boolean")
			}
		case "came":
			s, ok := scalar(r)
			t, err := time.Parse(time.RFC3339Nano, s)
			if !ok || err != nil || t.Year() < 1970 {
				fault("came is no time like 2026-01-31T12:00:00Z")
				break
			}
			if l.Came = t.UTC(); l.Came.After(now) {
				l.Came, ahead = now, true
			}
		default:
			r.Skip()
			fault("a key that is none of key, request_id, row, label and came")
		}
	}
	byRequest := slices.Equal(join, JoinRequest)
	switch {
	case byRequest && slices.Contains(have, "key") && !slices.Contains(have, "request_id"):
		return l, ahead, "a key, and labels of this model are joined by: request_id, row"
	case !slices.Contains(have, "label"):
		fault("no label")
	case byRequest && (l.Request == "" || l.Index < 0):
		fault("no request_id and row, which labels of this model are joined by")
	case !byRequest && l.Key == "":
		fault("no key, which labels of this model are joined by: " + strings.Join(join, ", "))
	case byRequest && slices.Contains(have, "key"), !byRequest && (slices.Contains(have, "request_id") || slices.Contains(have, "row")):
		fault("both a key and a row of a request")
	}
	return l, ahead, problem
}

// readKey reads a key of so many columns as the log of labels has it.
func readKey(r *schema.Reader, columns int) (string, bool) {
	if r.Kind() != schema.JSONArray {
		s, ok := scalar(r)
		return s, ok && columns == 1 && s != "" && len(s) <= maxLabelKey
	}
	var parts []string
	good := true
	for more := r.Enter(); more; more = r.More() {
		s, ok := scalar(r)
		good = good && ok && s != "" && len(parts) < columns
		parts = append(parts, s)
	}
	key := strings.Join(parts, string(rune(schema.KeySeparator)))
	return key, good && len(parts) == columns && len(key) <= maxLabelKey
}

// scalar reads text, a number or a boolean as text; any other value is skipped.
func scalar(r *schema.Reader) (string, bool) {
	s, ok := r.Scalar()
	return string(s), ok && s != nil
}
