package registry

import (
	"bytes"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// bomSchema compiles the JSON Schema of CycloneDX 1.6 that comes with the library; nothing is fetched.
func bomSchema(t testing.TB) *validator.Schema {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	c.AssertFormat()
	for name, file := range map[string]string{"bom-1.6.schema.json": "bom-1.6.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json"} {
		b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "schema", file))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := validator.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("http://cyclonedx.org/schema/"+name, doc); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func bill(t testing.TB, s *validator.Schema, d *Dossier) []byte {
	t.Helper()
	b, err := WriteCycloneDX(d)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(doc); err != nil {
		t.Errorf("%v\n%s", err, b)
	}
	return b
}

func TestCycloneDX(t *testing.T) {
	s := bomSchema(t)
	b := bill(t, s, full())
	assaytest.Golden(t, "card.cdx.json", b)
	if again := bill(t, s, full()); !bytes.Equal(b, again) {
		t.Error("other bytes the second time")
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(b), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	m := bom.Metadata.Component
	if m.Type != cdx.ComponentTypeMachineLearningModel || (*m.Hashes)[0].Value != id("file").Hex() || (*m.Licenses)[0].License.ID != "Apache-2.0" {
		t.Errorf("%+v", m)
	}
	held := map[string]string{}
	for _, p := range *m.Properties {
		held[p.Name] = p.Value
	}
	for _, n := range full().cited() {
		if held["assay:evidence:"+n.Name] != string(n.ID) {
			t.Errorf("%s evidence is not among the properties", n.Name)
		}
	}
	for _, x := range *m.ModelCard.QuantitativeAnalysis.PerformanceMetrics {
		if _, err := strconv.ParseFloat(x.Value, 64); err != nil || x.Type == "f1_score" {
			t.Errorf("%+v: an undefined figure, or none", x)
		}
	}
	other := full()
	other.Evaluation.ID = id("another evaluation")
	if bytes.Equal(b, bill(t, s, other)) || serial(t, bill(t, s, other)) == bom.SerialNumber {
		t.Error("other evidence, and the same serial number")
	}
	bill(t, s, &Dossier{Name: "new", Version: 1, Digest: id("file"), Model: Fact[assay.Model]{ID: id("model"), Value: assay.Model{Task: assay.Regression, Target: "y"}}})
	for _, h := range hostile {
		d := full()
		d.Say = Statements{h, h, h, h, h, h, h, h, h, h, h}
		d.Evaluation.Value.Slices[0].Name, d.Model.Value.Target, d.Waivers[0].Value.By = h, h, h
		bill(t, s, d)
	}
	for _, id := range spdxLicences {
		d := full()
		d.Say.Licence = id
		bill(t, s, d)
	}
}

func serial(t testing.TB, b []byte) string {
	t.Helper()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(b), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	return bom.SerialNumber
}

// TestFiguresReadBack: a figure of the toolkit's card and of the bill of materials reads back as the very number.
func TestFiguresReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Float64().Draw(t, "v")
		if got, err := strconv.ParseFloat(shortest(v), 64); err != nil || math.Float64bits(got) != math.Float64bits(v) {
			t.Fatalf("%v became %s", v, shortest(v))
		}
	})
}
