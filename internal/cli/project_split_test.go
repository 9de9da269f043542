package cli

import (
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// What assay.yaml says of the split is done or refused; nothing that it says is replaced by a default.
func TestProjectSplitIsTakenAtItsWord(t *testing.T) {
	t.Parallel()
	const head = "project: p\ndata:\n  uri: d.csv\n  time: at\n  target: {column: y, task: binary}\n"
	for _, c := range []struct {
		split            string
		validation, test float64
		wrong            []string
	}{
		{split: "", validation: 0.2, test: 0.2},
		{split: "split: {by: random}\n", validation: 0.2, test: 0.2},
		{split: "split: {by: random, test: 0.3}\n", validation: 0.2, test: 0.3},
		{split: "split: {validation: 0, test: 0}\n", wrong: []string{"split.validation is 0; want above 0 and below 1", "split.test is 0; want above 0 and below 1"}},
		{split: "split: {validation: 0}\n", wrong: []string{"split.validation is 0"}},
		{split: "split: {test: 0.0}\n", wrong: []string{"split.test is 0"}},
		{split: "split: {by: time, purge: 1d, embargo: 2d}\n", validation: 0.2, test: 0.2},
		{split: "split: {by: random, purge: 1d}\n", wrong: []string{"split.purge leaves out time around the cuts of split.by time; split.by is random and has none"}},
		{split: "split: {by: stratified, embargo: 2d}\n", wrong: []string{"split.embargo leaves out time around the cuts of split.by time; split.by is stratified and has none"}},
	} {
		p, err := ParseProject([]byte(head + c.split))
		if len(c.wrong) == 0 {
			if err != nil || p.Split.Validation != c.validation || p.Split.Test != c.test {
				t.Errorf("%q: %v, %+v", c.split, err, p)
			}
			continue
		}
		if assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%q: %v, want it refused", c.split, err)
			continue
		}
		for _, w := range c.wrong {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %v, want %s", c.split, err, w)
			}
		}
	}
}
