//go:build unix

package schema

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-ml/assay"
)

// BenchmarkPattern checks patterns and lengths of strings that repeat, as a category does, and of strings that do not; beside the same
// rules row by row. cpu-ms/op is user time.
func BenchmarkPattern(b *testing.B) {
	e := engine(b)
	var text strings.Builder
	text.WriteString("level,name\n")
	for i := range 300_000 {
		fmt.Fprintf(&text, "level %d,%s\n", i*7919%300, assay.DigestOf(fmt.Append(nil, i)).Hex()[:32])
	}
	tab := csv(b, e, text.String())
	least, most := int64(1), int64(40)
	measure := func(b *testing.B, f func() error) {
		b.Helper()
		before := userTime(b)
		for b.Loop() {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64((userTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	}
	for _, c := range []struct{ name, column, pattern string }{
		{"repeats", "level", `^level \d+$`}, {"literal", "level", "^level"}, {"distinct", "name", "^[0-9a-f]{32}$"},
	} {
		s := New("bench")
		s.Columns = append(s.Columns, Column{Name: c.column, Type: assay.TypeString, Pattern: &Pattern{Regexp: c.pattern}, Length: &Length{Min: &least, Max: &most}})
		rules, err := s.rules(tab)
		if err != nil {
			b.Fatal(err)
		}
		var sums []string
		for _, r := range rules {
			if r.bad != "" && r.bad != "true" {
				sums = append(sums, "coalesce(count_if("+r.bad+"), 0)")
			}
		}
		k := &checking{table: tab, rules: rules}
		b.Run(c.name+"/check", func(b *testing.B) {
			measure(b, func() error { return k.count(context.Background()) })
		})
		b.Run(c.name+"/rows", func(b *testing.B) {
			measure(b, func() error {
				return k.row(context.Background(), "SELECT "+strings.Join(sums, ", ")+" FROM "+k.from([]string{c.column})+" AS t", make([]int64, len(sums)))
			})
		})
	}
}

// userTime is the processor's time of this process outside the kernel.
func userTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano())
}
