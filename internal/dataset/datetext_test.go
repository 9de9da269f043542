package dataset

import (
	"regexp"
	"testing"

	"github.com/assay-ml/assay/internal/table"
)

func TestDateOrder(t *testing.T) {
	for _, c := range []struct {
		texts []string
		want  string
	}{
		{[]string{"08.05.2022", "31.12.2022"}, "day first"},
		{[]string{"05/08/2022", "12/31/22"}, "month first"},
		{[]string{"05-08-2022 10:15", "1-2-2023T09:00:01.5"}, "day or month first"},
		{[]string{"2022.05.08", "2022/5/9"}, "year first"},
		{[]string{"08.05.2022", "unknown"}, ""},
		{[]string{"08.05.2022"}, ""}, // one value has no order
		{[]string{"13.13.2022", "01.01.2022"}, ""},
		{[]string{"32.01.2022", "01.01.2022"}, ""},
		{[]string{"192.168.1.1", "10.0.0.1"}, ""},
		{[]string{"1.2.3", "1.2.4"}, ""}, // versions
		{nil, ""},
	} {
		if got := dateOrder(&table.Examined{Texts: c.texts}); got != c.want {
			t.Errorf("%q are %q; want %q", c.texts, got, c.want)
		}
	}
}

func FuzzDateOrder(f *testing.F) {
	f.Add("08.05.2022", "31.12.2022")
	f.Add("2022/05/08", "x")
	f.Fuzz(func(t *testing.T, a, b string) {
		date := regexp.MustCompile(`^` + DatePattern + `$`)
		got := dateOrder(&table.Examined{Texts: []string{a, b}})
		if got != "" && (!date.MatchString(a) || !date.MatchString(b)) {
			t.Errorf("%q and %q are %s", a, b, got)
		}
	})
}
