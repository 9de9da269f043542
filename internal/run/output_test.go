package run

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

func TestMetricsAreRead(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": 1, "b": {"c": 2.5, "d": {"e": true}}}`:       `{"a":1,"b.c":2.5,"b.d.e":1}`,
		`{"a": NaN, "b": -Infinity, "c": null, "d": "0.5"}`: `{"a":null,"b":null,"c":null,"d":0.5}`,
		`{"NaN": 1, "\"NaN": 2}`:                            `{"\"NaN":2,"NaN":1}`,
		"\xef\xbb\xbf{}":                                    `{}`,
		`{"huge": 1e999}`:                                   `{"huge":null}`,
		``:                                                  "empty",
		`[1]`:                                               "not a JSON object",
		`null`:                                              "not a JSON object",
		"{\"a\": 1,\n x}":                                   "not JSON at line 2, byte 2 of it",
		`{"a": 1`:                                           "not complete JSON",
		`{"a": 1} {}`:                                       "more follows after the JSON object",
		`{"a": "high", "b": [1]}`:                           `not a number: "a", "b"`,
		`{"": 1}`:                                           "a name has 0 bytes; 1 to 250 are allowed",
		strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40): "objects are nested deeper than 32",
		`{"` + strings.Repeat("x", 300) + `": 1}`:                   "a name has 300 bytes; 1 to 250 are allowed",
		strings.Repeat(" ", maxDocument+1):                          "larger than 16777216 bytes",
	} {
		got := map[string]assay.Number{}
		if err := parseMetrics(strings.NewReader(text), got); err != nil {
			if err.Error() != want {
				t.Errorf("%.60q: %v, want %s", text, err, want)
			}
			continue
		}
		if b, _ := json.Marshal(got); string(b) != want {
			t.Errorf("%.60q: %s, want %s", text, b, want)
		}
	}
}

func TestCurvesAreRead(t *testing.T) {
	for text, want := range map[string]string{
		"{\"step\":0,\"loss\":3}\n\n{\"step\":1,\"loss\":2,\"time\":12.5}\n{\"loss\":1,\"to": `{"loss":2}`, // the last line is torn
		"{\"loss\":1}\nx\n{\"loss\":2}\n":                     "line 2: not JSON at line 1, byte 1 of it",
		"{\"loss\":\"low\"}\n":                                `line 1: not a number: "loss"`,
		"{\"a\":1}\n" + strings.Repeat("x", maxMetricsLine+1): "line 2 is longer than 1048576 bytes",
	} {
		got := map[string]assay.Number{}
		if err := parseCurves(strings.NewReader(text), got); err != nil {
			if err.Error() != want {
				t.Errorf("%.60q: %v, want %s", text, err, want)
			}
			continue
		}
		if b, _ := json.Marshal(got); string(b) != want {
			t.Errorf("%.60q: %s, want %s", text, b, want)
		}
	}
}

func TestParamsAreRead(t *testing.T) {
	for text, want := range map[string]string{
		`{"lr": 0.10, "n": {"deep": [1, "a"]}, "on": true, "none": null, "s": "text"}`: `{"lr":"0.10","n.deep":"[1,\"a\"]","none":"null","on":"true","s":"text"}`,
		`{"password": "x", "url": "postgres://u:p@h/db", "dir": "/home/me/data"}`:      `{"dir":"…/data","password":"[redacted]","url":"[redacted]"}`,
		`{"x": "` + strings.Repeat("y", maxParamBytes+1) + `"}`:                        `"x" has 65537 bytes, more than 65536`,
		`[]`: "not a JSON object",
	} {
		got := map[string]string{}
		if err := parseParams(strings.NewReader(text), got); err != nil {
			if err.Error() != want {
				t.Errorf("%.60q: %v, want %s", text, err, want)
			}
			continue
		}
		if b, _ := json.Marshal(got); string(b) != want {
			t.Errorf("%.60q: %s, want %s", text, b, want)
		}
	}
}

func TestSecretsAreKnownByNameAndByForm(t *testing.T) {
	for _, c := range [][2]string{
		{"AWS_SECRET_ACCESS_KEY", "x"},
		{"HF_TOKEN", "x"},
		{"DbPassword", "x"},
		{"X_APIKEY", "x"},
		{"GOOGLE_APPLICATION_CREDENTIALS", "x"},
		{"A", "AKIAABCDEFGHIJKLMNOP"},
		{"A", "ghp_abcdefghijklmnopqrstuvwxyz0123"},
		{"A", "https://user:pw@host/x"},
		{"A", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc"},
		{"A", "-----BEGIN RSA PRIVATE KEY-----"},
		{"A", "hf_abcdefghijklmnopqrstuv"},
		{"A", "Bearer abcdefgh12345678"},
		{"openai-key", "x"},
		{"wandb_key", "x"},
	} {
		if redact(c[0], c[1]) != redacted {
			t.Errorf("%s=%s is not taken for a secret", c[0], c[1])
		}
	}
	for _, c := range [][2]string{{"OMP_NUM_THREADS", "4"}, {"TOKENIZERS_PARALLELISM", "false"}, {"max_tokens", "100"}, {"A", "https://host/x"}, {"author", "me"}, {"HF_TOKEN", ""}, {"primary-key", "id"}, {"key", "id"}} {
		if redact(c[0], c[1]) != c[1] {
			t.Errorf("%s=%s is taken for a secret", c[0], c[1])
		}
	}
}

func TestSecretsOfACommandAreHidden(t *testing.T) {
	for in, want := range map[string]string{
		"train.py --api-key V1secret --epochs 3":       "train.py --api-key [redacted] --epochs 3",
		"train.py --api-key=V1secret":                  "train.py --api-key=[redacted]",
		"train.py --access-key V1secret":               "train.py --access-key [redacted]",
		"train.py --wandb-api-key V1secret":            "train.py --wandb-api-key [redacted]",
		"train.py --openai-key V1secret":               "train.py --openai-key [redacted]",
		"curl -H X-Api-Key:V1secret https://host/x":    "curl -H X-Api-Key: [redacted] https://host/x",
		"train.py --sort-key age --key id --rows 1:20": "train.py --sort-key age --key id --rows 1:20",
	} {
		if got := strings.Join(hideSecrets(strings.Fields(in)), " "); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := hideSecrets([]string{"curl", "-H", "Authorization: Basic dTpw", "print({'token': 1})"}); got[2] != "Authorization: "+redacted || got[3] != "print({'token': 1})" {
		t.Errorf("%q", got)
	}
}

func TestPathsLoseTheirDirectories(t *testing.T) {
	for in, want := range map[string]string{
		"/usr/local/cuda":          "…/cuda",
		"--data=/mnt/x/a.csv":      "--data=…/a.csv",
		"/a/b:/c/d":                "…/b:…/d",
		"a/b":                      "a/b",
		"https://example.org/x":    "https://example.org/x",
		"/":                        "/",
		"print('/etc/passwd', 1)":  "print('…/passwd', 1)",
		"--xla_flag=true -j 1 a/b": "--xla_flag=true -j 1 a/b",
	} {
		if got := pathless(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzMetrics(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"a":NaN}`, `{"a":{"b":"Infinity"}}`, "{\"step\":1,\"a\":2}\n{", `{"a`, `"`, `\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func() (map[string]assay.Number, error){
			func() (map[string]assay.Number, error) {
				m := map[string]assay.Number{}
				return m, parseMetrics(strings.NewReader(text), m)
			},
			func() (map[string]assay.Number, error) {
				m := map[string]assay.Number{}
				return m, parseCurves(strings.NewReader(text), m)
			},
		} {
			m, err := parse()
			if err != nil {
				if strings.TrimSpace(err.Error()) == "" {
					t.Error("an error without a message")
				}
				continue
			}
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			again := map[string]assay.Number{}
			if err := json.Unmarshal(b, &again); err != nil || len(again) != len(m) {
				t.Fatalf("%s reads back as %d of %d metrics: %v", b, len(again), len(m), err)
			}
			for k, v := range m {
				if w := float64(again[k]); !math.IsNaN(w) && w != float64(v) {
					t.Errorf("%q: %v reads back as %v", k, v, w)
				}
			}
		}
	})
}

func FuzzParams(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"a":[NaN]}`, `{"password":"x"}`, `{"a":{"b":{}}}`, `{"a":"\u0000"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m := map[string]string{}
		if err := parseParams(strings.NewReader(text), m); err != nil {
			return
		}
		for k, v := range m {
			if k == "" || len(k) > maxNameBytes || secret(k, v) && v != redacted {
				t.Errorf("param %q = %q", k, v)
			}
		}
	})
}
