package cli

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
)

// A userTable is one that somebody could have: its columns, the last of them the target, and its rows.
type userTable struct {
	columns string // between |
	rows    int
	row     func(i int, u []float64) string // fields between |, from a few numbers that are even between 0 and 1
	task    string                          // what assay init takes it for; empty when it refuses
	says    string                          // part of what it prints, or of its error
	inner   bool                            // assay make runs in the inner loop, too
}

// tells is a number near 0 that a feature tells something of, and noise something more.
func tells(u []float64) float64 { return u[0] - 0.5 + (u[1]-0.5)/2 }

func either(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// ordinary is a row of three features and a target.
func ordinary(target func(i int, u []float64) string) func(int, []float64) string {
	return func(i int, u []float64) string {
		return fmt.Sprintf("%.4f|%.3f|%c|%s", u[0], 10*u[2], 'a'+int(3*u[3]), target(i, u))
	}
}

func twoClasses(a, b string) func(int, []float64) string {
	return ordinary(func(_ int, u []float64) string { return either(tells(u) > 0, a, b) })
}

// userTables are the tables that users' own files are like.
var userTables = map[string]userTable{
	"a class of one row": {"x|z|g|y", 200, ordinary(func(i int, u []float64) string {
		return either(i == 70, "c", either(tells(u) > 0, "a", "b"))
	}), "", "1 of 3 classes have a single row", false},
	"one positive row":  {"x|z|g|y", 200, ordinary(func(i int, _ []float64) string { return either(i == 70, "1", "0") }), "", "1 of 2 classes have a single row", false},
	"few positive rows": {"x|z|g|y", 200, ordinary(func(i int, _ []float64) string { return either(i%20 == 0, "1", "0") }), "binary", "", false},
	"a count": {"x|z|g|y", 300, ordinary(func(_ int, u []float64) string {
		return fmt.Sprint(math.Floor(-math.Log(u[1]) * (0.5 + 2*u[0])))
	}), "regression", "whole numbers, the rarest in few rows, and is taken for an amount; --task multiclass if they are codes", true},
	"a mark from 1 to 5": {"x|z|g|y", 200, ordinary(func(_ int, u []float64) string { return fmt.Sprint(1 + math.Floor(5*(u[0]*0.8+u[1]*0.2))) }), "multiclass", "5 whole numbers and is taken for classes; --task regression if they are amounts", false},
	"text of all-unique values": {
		"x|z|g|y", 200, ordinary(func(i int, _ []float64) string { return fmt.Sprintf("note %d", i) }), "",
		"text that hardly repeats (200 values in 200 rows): there is nothing to learn from", false,
	},
	"text in pairs": {"x|z|g|y", 200, ordinary(func(i int, _ []float64) string { return fmt.Sprintf("note %d", i/2) }), "", "40 test rows for 100 classes", false},
	"six rows":      {"x|z|g|y", 6, ordinary(func(i int, _ []float64) string { return fmt.Sprint(i % 2) }), "", "the data has 6 rows", false},
	"ten rows":      {"x|z|g|y", 10, ordinary(func(i int, _ []float64) string { return fmt.Sprint(i % 2) }), "binary", "with 10 rows, the validation and the test part have about 2 each", false},
	"a target with missing values": {
		"x|z|g|y", 200, ordinary(func(i int, u []float64) string { return either(i%40 == 0, "", either(tells(u) > 0, "1", "0")) }), "",
		`target "y" has no value in 5 of 200 rows`, false,
	},
	"a target that is nan at times": {"x|z|g|y", 200, ordinary(func(i int, u []float64) string { return either(i%40 == 0, "nan", fmt.Sprint(tells(u))) }), "", `target "y" has no value in 5 of 200 rows`, false},
	"a target that is infinite":     {"x|z|g|y", 200, ordinary(func(i int, u []float64) string { return either(i%40 == 0, "inf", fmt.Sprint(tells(u))) }), "", `target "y" is infinite in 5 of 200 rows`, false},
	"a target of 1e300":             {"x|z|g|y", 200, ordinary(func(i int, u []float64) string { return either(i == 7, "1e300", fmt.Sprint(tells(u))) }), "", `target "y" has numbers beyond 3.4e38, the greatest that models compute with`, false},
	"a target of far numbers":       {"x|z|g|y", 200, ordinary(func(_ int, u []float64) string { return fmt.Sprintf("%d", 1e18+int64(1e6*tells(u))) }), "", "cannot tell its values apart", false},
	"a constant target":             {"x|z|g|y", 200, ordinary(func(int, []float64) string { return "1" }), "", "has one value: there is nothing to learn", false},
	"classes that differ in case":   {"x|z|g|y", 200, ordinary(func(i int, _ []float64) string { return [...]string{"Yes", "yes", "No"}[i%3] }), "", "3 classes, and 1 of them differ from another only in case", false},
	"a target of true and false":    {"x|z|g|y", 200, twoClasses("true", "false"), "binary", `"true" counts as positive`, true},
	"a target of yes and no":        {"x|z|g|y", 200, twoClasses("yes", "no"), "binary", `"yes" counts as positive`, false},
	"a target of 1 and 2":           {"x|z|g|y", 200, twoClasses("2", "1"), "binary", `"2" counts as positive`, false},
	"a target of 0.0 and 1.0":       {"x|z|g|y", 200, twoClasses("1.0", "0.0"), "binary", `"1" counts as positive`, false},
	"a target of -1 and 1":          {"x|z|g|y", 200, twoClasses("1", "-1"), "binary", `"1" counts as positive`, false},
	"classes written 1.0, 2.0":      {"x|z|g|y", 200, ordinary(func(_ int, u []float64) string { return fmt.Sprintf("%.1f", 1+math.Floor(3*(u[0]*0.8+u[1]*0.2))) }), "multiclass", "3 whole numbers", false},
	"a number of few values":        {"x|z|g|y", 200, ordinary(func(_ int, u []float64) string { return fmt.Sprint(0.5 + math.Floor(4*(u[0]*0.8+u[1]*0.2))) }), "regression", "", false},
	"a target with thousands":       {"x|z|g|y", 200, ordinary(func(i int, u []float64) string { return fmt.Sprintf("%d,%03d", 1+int(9*u[0]), i) }), "", "holds numbers with a thousands separator", false},
	"a target in per cent":          {"x|z|g|y", 200, ordinary(func(_ int, u []float64) string { return fmt.Sprintf("%.1f%%", 100*u[0]) }), "", "a per-cent sign, which are read as text", false},
	"a target in dollars":           {"x|z|g|y", 200, ordinary(func(_ int, u []float64) string { return fmt.Sprintf("$%.2f", 100*u[0]) }), "", "a currency or", false},
	"a target that is a date":       {"x|z|g|y", 200, ordinary(func(i int, _ []float64) string { return fmt.Sprintf("2024-01-%02d", 1+i%28) }), "", "is a date, which no task predicts", false},
	"features with thousands": {"x|z|y", 200, func(i int, u []float64) string {
		return fmt.Sprintf("%d,%03d|%.3f|%s", 1+int(9*u[2]), i, u[0], either(tells(u) > 0, "1", "0"))
	}, "binary", "x holds numbers with a thousands separator", false},
	"features with a decimal comma": {"x|z|y", 200, func(_ int, u []float64) string {
		return fmt.Sprintf("%d,%d|%.3f|%s", int(9*u[2]), int(2*u[3]), u[0], either(tells(u) > 0, "1", "0"))
	}, "binary", "written as 1234.5 they have an order", false},
	"a feature of 1e300": {"x|z|y", 200, func(i int, u []float64) string {
		return fmt.Sprintf("%s|%.3f|%s", either(i == 3, "1e300", "1.5"), u[0], either(tells(u) > 0, "1", "0"))
	}, "binary", "x has numbers beyond 3.4e38, the greatest that models compute with, and is left out", false},
	"a feature beyond 2^53": {"code|x|y", 200, func(i int, u []float64) string {
		return fmt.Sprintf("%d|%.3f|%s", 1<<53+int64(30*u[2]), u[0], either(tells(u) > 0, "1", "0"))
	}, "binary", "code has whole numbers beyond 2^53", false},
	"columns without a value":      {"x|e|y", 200, func(_ int, u []float64) string { return fmt.Sprintf("%.3f||%s", u[0], either(tells(u) > 0, "1", "0")) }, "binary", "e has no value and is left out", false},
	"columns without a value only": {"e|f|y", 200, func(_ int, u []float64) string { return fmt.Sprintf("||%s", either(tells(u) > 0, "1", "0")) }, "", "no column is left to learn from", false},
	"columns named like SQL":       {"select|order|group|table", 200, twoClasses("1", "0"), "binary", "", false},
	"columns with marks":           {"a.b|c d|e\"f|it's", 200, twoClasses("1", "0"), "binary", "", true},
	"columns in other scripts":     {"größe|名前|émoji😀|žluť", 200, twoClasses("1", "0"), "binary", "", false},
	"columns that YAML reads":      {"yes|null|a: b|#y", 200, twoClasses("1", "0"), "binary", "", false},
	"columns with more marks":      {"[a]|{b}|g & h|%y%", 200, twoClasses("1", "0"), "binary", "", false},
	"columns with line breaks":     {"a\nb|c\td|back\\slash|new\nline", 200, twoClasses("1", "0"), "binary", "", false},
	"columns named like answers":   {"probability|prediction|index|label", 200, twoClasses("1", "0"), "binary", "", false},
	"columns equal up to case":     {"Age|age|g|y", 200, twoClasses("1", "0"), "", "differ only in case", false},
	"a column without a name":      {"a||g|y", 200, twoClasses("1", "0"), "binary", "", false},
	"a date alone": {"d|y", 200, func(i int, u []float64) string {
		return fmt.Sprintf("2024-%02d-%02d|%s", 1+i/28, 1+i%28, either(u[1] < float64(i)/200, "1", "0"))
	}, "binary", "", true},
	"a number alone": {"x|y", 200, func(_ int, u []float64) string { return fmt.Sprintf("%v|%s", u[0], either(tells(u) > 0, "1", "0")) }, "binary", "", false},
	"text alone": {"c|y", 200, func(_ int, u []float64) string {
		return fmt.Sprintf("%s|%s", [...]string{"red", "green", "blue"}[int(3*u[0])], either(tells(u) > 0, "1", "0"))
	}, "binary", "", false},
	"dates written day first, alone": {"d|x|y", 200, func(i int, u []float64) string {
		return fmt.Sprintf("%02d/%02d/2024|%v|%s", 1+i%28, 1+i%12, u[0], either(tells(u) > 0, "1", "0"))
	}, "binary", "d holds dates written day first", false},
	"names of classes with marks": {"x|z|g|y", 200, ordinary(func(_ int, u []float64) string {
		return [...]string{"a b", "c/d", "é", "it's"}[int(4*(u[0]*0.9+u[1]*0.1))]
	}), "multiclass", "", false},
	"an amount with a negative range": {"x|z|g|y", 200, ordinary(func(_ int, u []float64) string { return fmt.Sprintf("%.0f", -1-1000*tells(u)) }), "regression", "", false},
}

// TestInitTables holds that every table becomes a project on which assay make has nothing to object to, and nothing to do the second
// time, or is refused by assay init with the reason. In the inner loop assay make runs on few of them.
func TestInitTables(t *testing.T) {
	t.Parallel()
	for name, x := range userTables {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			columns := strings.Split(x.columns, "|")
			rows := [][]string{columns}
			noise := stat.NewRand(7)
			for i := range x.rows {
				u := make([]float64, 4)
				for j := range u {
					u[j] = noise.Float64()
				}
				rows = append(rows, strings.Split(x.row(i, u), "|"))
			}
			f, err := os.Create(filepath.Join(dir, "data.csv"))
			if err != nil {
				t.Fatal(err)
			}
			if err := csv.NewWriter(f).WriteAll(rows); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			m := &stageManager{clock: assaytest.Clock()}
			out, errs, exit := command(m, dir, "init", "data.csv", "--target="+columns[len(columns)-1])
			if x.task == "" {
				if _, err := os.Stat(filepath.Join(dir, ProjectFile)); exit != 3 || !strings.Contains(errs, x.says) || !strings.Contains(errs, "\nTry: ") || err == nil {
					t.Errorf("exit status %d, want 3 and %q, and no %s\n%s%s", exit, x.says, ProjectFile, out, errs)
				}
				return
			}
			if exit != 0 || !strings.Contains(out, " is "+x.task) || !strings.Contains(out, x.says) {
				t.Fatalf("exit status %d, want a %s task and %q\n%s%s", exit, x.task, x.says, out, errs)
			}
			if !x.inner && !assaytest.Full() {
				return
			}
			if out, errs, exit := command(m, dir, "make"); exit != 0 && !(exit == 3 && x.rows < smallTable) {
				t.Fatalf("make: exit status %d\n%s%s", exit, out, errs)
			}
			if out, errs, exit := command(m, dir, "make"); exit == 0 && strings.Count(out, "up to date") != 6 || exit != 0 && x.rows >= smallTable {
				t.Errorf("make again: exit status %d\n%s%s", exit, out, errs)
			}
			if out, errs, exit := command(m, dir, "done"); exit != 3 || !strings.Contains(out, "the datasheet lacks sources") {
				t.Errorf("done: exit status %d\n%s%s", exit, out, errs)
			}
		})
	}
}
