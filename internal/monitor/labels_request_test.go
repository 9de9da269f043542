package monitor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
)

func TestReadLabelRequest(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got, ahead, err := ReadLabelRequest([]byte(`{"labels":[{"key":17,"label":true},{"key":"b\"","label":"yes","came":"2026-01-01T00:00:00+01:00"},{"key":1.50,"label":2.0,"came":"2027-01-01T00:00:00Z"}]}`), []string{"id"}, now)
	want := []Label{
		{Key: "17", Value: "true", Index: -1, Came: now}, {Key: `b"`, Value: "yes", Index: -1, Came: time.Date(2025, 12, 31, 23, 0, 0, 0, time.UTC)}, {Key: "1.5", Value: "2", Index: -1, Came: now},
	}
	if err != nil || ahead != 1 || !slices.Equal(got, want) {
		t.Errorf("%+v, %d, %v", got, ahead, err)
	}
	got, _, err = ReadLabelRequest([]byte(`{"labels":[{"key":["a",2],"label":0}]}`), []string{"x", "y"}, now)
	if err != nil || got[0].Key != "a\x1f2" {
		t.Errorf("%+v, %v", got, err)
	}
	got, _, err = ReadLabelRequest([]byte(`{"labels":[{"request_id":"r1","row":3,"label":"no"}]}`), JoinRequest, now)
	if err != nil || got[0].Request != "r1" || got[0].Index != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	for body, want := range map[string]string{
		``:                                    "no JSON object",
		`[]`:                                  "no JSON object",
		`{"labels":[]}`:                       "no labels",
		`{"labels":{}}`:                       "the one key labels",
		`{"rows":[]}`:                         "the one key labels",
		`{"labels":[{"key":"a"`:               "",
		`{"labels":[1]}`:                      "label 0: no object",
		`{"labels":[{"key":1}]}`:              "label 0: no label",
		`{"labels":[{"label":1}]}`:            "label 0: no key",
		`{"labels":[{"key":null,"label":1}]}`: "label 0: the key",
		`{"labels":[{"key":["a"],"label":1},{"key":["a","b"],"label":1}]}`:                          "label 1: the key",
		`{"labels":[{"key":1,"label":1e999}]}`:                                                      "label 0: the label",
		`{"labels":[{"key":1,"label":[[[[[[[[[[]]]]]]]]]]}]}`:                                       "",
		`{"labels":[{"key":1,"label":1,"label":2}]}`:                                                "the same key twice",
		`{"labels":[{"key":1,"label":1,"secret":2}]}`:                                               "none of key",
		`{"labels":[{"key":1,"label":1,"came":"yesterday"}]}`:                                       "came is no time",
		`{"labels":[{"key":1,"request_id":"r","label":1}]}`:                                         "both a key and a row",
		`{"labels":[{"key":1,"label":"` + strings.Repeat("x", 300) + `"}]}`:                         "label 0: the label",
		`{"labels":[` + strings.Repeat(`{"key":1,"label":1},`, MaxLabels) + `{"key":1,"label":1}]}`: "more than",
	} {
		got, _, err := ReadLabelRequest([]byte(body), []string{"id"}, now)
		if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), want) || got != nil {
			t.Errorf("%.80s: %d labels, %v, want %s", body, len(got), err, want)
		}
	}
	_, _, err = ReadLabelRequest([]byte(`{"labels":[`+strings.Repeat(`{"key":1},`, 99)+`{"key":1}]}`), []string{"id"}, now)
	if n := strings.Count(fmt.Sprint(err), "no label"); n != maxLabelFault {
		t.Errorf("%d of 100 faults are named", n)
	}
}

// What is taken fits the limits, whatever the body is.
func FuzzLabelRequest(f *testing.F) {
	for _, s := range []string{
		`{"labels":[{"key":17,"label":true}]}`, `{"labels":[{"request_id":"r","row":1,"label":0.5,"came":"2026-01-01T00:00:00Z"}]}`, `{"labels":[{"key":["a","b"],"label":"x"}]}`,
		`{"labels":[{"key":-0,"label":1e-7}]}`, `{"labels":[[`, "{\"labels\":[{\"key\":\"\xff\"}]}", `{"labels":[{}]} x`,
	} {
		f.Add([]byte(s), byte(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, kind byte) {
		join := [][]string{JoinRequest, {"id"}, {"a", "b"}}[int(kind)%3]
		now := time.Unix(1_700_000_000, 0).UTC()
		labels, ahead, err := ReadLabelRequest(b, join, now)
		if err != nil {
			if len(labels) > 0 || assay.CodeOf(err) != assay.Invalid {
				t.Fatalf("%d labels, %v", len(labels), err)
			}
			return
		}
		if len(labels) == 0 || len(labels) > MaxLabels || ahead > int64(len(labels)) {
			t.Fatalf("%d labels, %d ahead", len(labels), ahead)
		}
		for _, l := range labels {
			if l.Value == "" || len(l.Value) > maxLabelValue || len(l.Key) > maxLabelKey || len(l.Request) > maxLabelKey || l.Came.After(now) || (l.Key == "") == (l.Request == "") {
				t.Fatalf("%+v", l)
			}
		}
	})
}
