package web

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestContrast: words of every colour that carries them stand out from both grounds by 4.5:1 and marks by 3:1, in light and in the dark (WCAG 2.2, 1.4.3 and 1.4.11).
func TestContrast(t *testing.T) {
	css, err := assets.ReadFile("assets/tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`:root\{([^}]*--ink:[^}]*)\}`).FindAllStringSubmatch(string(css), 2)
	if len(blocks) != 2 {
		t.Fatalf("%d schemes", len(blocks))
	}
	for i, scheme := range []string{"light", "dark"} {
		light := map[string]float64{}
		for _, m := range regexp.MustCompile(`--(\w+):#([0-9a-f]+)`).FindAllStringSubmatch(blocks[i][1], -1) {
			hex := m[2]
			if len(hex) == 3 {
				hex = strings.Repeat(hex[:1], 2) + strings.Repeat(hex[1:2], 2) + strings.Repeat(hex[2:], 2)
			}
			v := 0.0
			for k, weight := range []float64{0.2126, 0.7152, 0.0722} {
				n, err := strconv.ParseUint(hex[2*k:2*k+2], 16, 8)
				if err != nil {
					t.Fatal(err)
				}
				c := float64(n) / 255
				if c <= 0.04045 {
					c /= 12.92
				} else {
					c = math.Pow((c+0.055)/1.055, 2.4)
				}
				v += weight * c
			}
			light[m[1]] = v
		}
		for colour, least := range map[string]float64{"ink": 4.5, "soft": 4.5, "accent": 4.5, "pass": 4.5, "fail": 4.5, "doubt": 4.5, "s1": 3, "s2": 3, "s3": 3, "s4": 3, "bar": 3, "ref": 3, "warm": 3, "cool": 3} {
			for _, ground := range []string{"bg", "raise"} {
				a, b := light[colour], light[ground]
				if got := (math.Max(a, b) + 0.05) / (math.Min(a, b) + 0.05); got < least {
					t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", scheme, colour, ground, got, least)
				}
			}
		}
	}
}
