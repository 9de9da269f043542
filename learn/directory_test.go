package learn

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
)

func oracleFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(assaytest.Root(), "testdata", "oracle", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenFS(t *testing.T) {
	onnx := oracleFile(t, "onnx/logreg_binary.onnx")
	for _, c := range []struct {
		files  map[string][]byte
		format Format
		code   assay.Code
		says   string
	}{
		{map[string][]byte{"MLmodel": nil, "model.onnx": onnx}, FormatONNX, "", ""},
		{map[string][]byte{"MLmodel": nil, "model.lgb": oracleFile(t, "booster/lgbm_4.7.0_binary.txt")}, FormatLightGBM, "", ""},
		{map[string][]byte{"MLmodel": nil, "model.xgb": oracleFile(t, "booster/xgb_3.2.0_binary.json")}, FormatXGBoost, "", ""},
		{map[string][]byte{"MLmodel": nil, "model.ubj": oracleFile(t, "booster/xgb_3.2.0_categories_ubj.ubj")}, FormatXGBoost, "", ""},
		{map[string][]byte{"MLmodel": nil, "model.pkl": nil}, "", assay.Unimplemented, "model.pkl needs python to run"},
		{map[string][]byte{"MLmodel": nil}, "", assay.NotFound, "the folder has no model: none of model.onnx"},
		{map[string][]byte{"model.xgb": []byte("binf\x00\x00")}, "", assay.Unimplemented, "old binary format"},
		{map[string][]byte{"model.onnx": append(onnx, make([]byte, 1<<20)...)}, "", assay.Invalid, "more than 1048576 bytes"},
	} {
		fsys := fstest.MapFS{}
		for name, b := range c.files {
			fsys[name] = &fstest.MapFile{Data: b}
		}
		p, err := OpenFS(fsys, Limits{FileBytes: 1 << 20})
		if c.code != "" {
			if assay.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: error %v, want %s: %s", fsys, err, c.code, c.says)
			}
			continue
		}
		if err != nil || p.Format() != c.format {
			t.Errorf("%v: %v", fsys, err)
		}
	}
}

// TestOpenDamaged changes bytes of every model of the oracle: each is refused with an error or runs within its limits. It is what the
// fuzz target does, without luck.
func TestOpenDamaged(t *testing.T) {
	rounds := 6
	if os.Getenv("ASSAY_TEST_FULL") != "" {
		rounds = 40
	}
	r := stat.NewRand(20251129, 0)
	for _, pattern := range []string{"booster/*", "onnx/*.onnx"} {
		files, err := filepath.Glob(filepath.Join(assaytest.Root(), "testdata", "oracle", filepath.FromSlash(pattern)))
		if err != nil || len(files) == 0 {
			t.Fatal("no model", pattern, err)
		}
		for _, file := range files {
			if filepath.Ext(file) == ".expected" {
				continue
			}
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(whole) > 40000 {
				continue
			}
			for range rounds {
				b := append([]byte(nil), whole...)
				for range 1 + r.Intn(4) {
					at := r.Intn(len(b))
					switch r.Intn(4) {
					case 0:
						b = b[:at+1]
					case 1:
						b[at] = byte(r.Intn(256))
					case 2:
						b[at] ^= 1 << r.Intn(8)
					default:
						n := min(r.Intn(16), len(b)-at)
						copy(b[at:at+n], b[r.Intn(len(b)-n+1):])
					}
				}
				runHostile(t, b)
			}
		}
	}
}
