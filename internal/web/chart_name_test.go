package web

import (
	"regexp"
	"strconv"
	"testing"
)

// TestPlotNames holds that the name of a line ends within the chart, wherever the line runs, and stands above the axis.
func TestPlotNames(t *testing.T) {
	names := []string{"prior", "gradient_boosting", "a learner of the team with a name beyond all"}
	for _, y := range []float64{0.01, 0.5, 1} {
		for _, x := range []float64{0, 0.4, 1} {
			var lines []Series
			for _, n := range names {
				lines = append(lines, Series{Name: n, X: []float64{x, x}, Y: []float64{y, y}})
			}
			got := regexp.MustCompile(`<text x="([\d.]+)" y="([\d.]+)" style="fill:[^"]*">([^<]*)</text>`).FindAllStringSubmatch(string(Plot("l", "x", "y", 0, 1, 0, 1, false, lines...)), -1)
			if len(got) != len(names) {
				t.Fatalf("%d names of %d", len(got), len(names))
			}
			for _, m := range got {
				at, _ := strconv.ParseFloat(m[1], 64)
				down, _ := strconv.ParseFloat(m[2], 64)
				if at < 46 || at+markWidth*float64(len([]rune(m[3]))) > 340 || down > 300-36 {
					t.Errorf("%q at %s, %s of a line at %v, %v", m[3], m[1], m[2], x, y)
				}
			}
		}
	}
}
