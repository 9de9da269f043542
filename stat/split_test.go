package stat_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

// splitParams are the constructor arguments of a splitter of the peer.
type splitParams struct {
	Splits      int     `json:"n_splits"`
	Repeats     int     `json:"n_repeats"`
	Shuffle     *bool   `json:"shuffle"`
	Seed        uint32  `json:"random_state"`
	Test        float64 `json:"test_size"`
	Train       float64 `json:"train_size"`
	Gap         int     `json:"gap"`
	MaxTrain    int     `json:"max_train_size"`
	Stratify    string  `json:"stratify"`
	DefaultTest float64 `json:"_default_test_size"`
}

// labels decodes class labels of any one JSON type to codes.
func labels(t *testing.T, raw json.RawMessage) []int {
	t.Helper()
	if len(raw) == 0 {
		return nil
	}
	var ints []int
	if json.Unmarshal(raw, &ints) == nil {
		return ints
	}
	var texts []string
	if err := json.Unmarshal(raw, &texts); err != nil {
		t.Fatal(err)
	}
	codes, _ := stat.Encode(texts)
	return codes
}

func splitBy(name string, p splitParams, n int, y, groups []int) ([]stat.Fold, error) {
	k := stat.KFold{Splits: p.Splits, Shuffle: p.Shuffle != nil && *p.Shuffle, Seed: p.Seed, Repeats: p.Repeats}
	if p.Repeats > 0 {
		k.Shuffle = true
	}
	sizes := stat.Sizes{Test: p.Test, Train: p.Train}
	switch name {
	case "train_test_split":
		o := stat.TrainTestOptions{Sizes: sizes, Seed: p.Seed, NoShuffle: p.Shuffle != nil && !*p.Shuffle}
		if p.Stratify != "" {
			o.Stratify = y
		}
		f, err := stat.TrainTestSplit(n, o)
		return []stat.Fold{f}, err
	case "KFold", "RepeatedKFold":
		return k.Split(n)
	case "StratifiedKFold", "RepeatedStratifiedKFold":
		return stat.StratifiedKFold(k).Split(y)
	case "GroupKFold":
		return stat.GroupKFold(k).Split(groups)
	case "StratifiedGroupKFold":
		return stat.StratifiedGroupKFold(k).Split(y, groups)
	case "ShuffleSplit":
		return stat.ShuffleSplit{Splits: p.Splits, Sizes: sizes, Seed: p.Seed}.Split(n)
	case "StratifiedShuffleSplit":
		return stat.StratifiedShuffleSplit{Splits: p.Splits, Sizes: sizes, Seed: p.Seed}.Split(y)
	case "GroupShuffleSplit":
		return stat.GroupShuffleSplit{Splits: p.Splits, Sizes: sizes, Seed: p.Seed}.Split(groups)
	case "TimeSeriesSplit":
		return stat.TimeSeriesSplit{Splits: p.Splits, MaxTrain: p.MaxTrain, Test: int(p.Test), Gap: p.Gap}.Split(n)
	case "LeaveOneGroupOut":
		return stat.LeaveOneGroupOut(groups)
	}
	return nil, fmt.Errorf("no splitter %q", name)
}

func sameFolds(t *testing.T, got []stat.Fold, want [][2][]int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d folds, want %d", len(got), len(want))
	}
	for i, f := range got {
		if !slices.Equal(f.Train, want[i][0]) {
			t.Errorf("fold %d: train %v, want %v", i, f.Train, want[i][0])
		}
		if !slices.Equal(f.Test, want[i][1]) {
			t.Errorf("fold %d: test %v, want %v", i, f.Test, want[i][1])
		}
	}
}

func TestSplitsOfScikitLearn(t *testing.T) {
	var table struct {
		Cases []struct {
			ID       string          `json:"id"`
			Splitter string          `json:"splitter"`
			Params   splitParams     `json:"params"`
			N        int             `json:"n"`
			Y        json.RawMessage `json:"y"`
			Groups   json.RawMessage `json:"groups"`
			Splits   []struct {
				Train []int `json:"train"`
				Test  []int `json:"test"`
			} `json:"splits"`
			Error *struct {
				Type string `json:"type"`
			} `json:"error"`
		} `json:"cases"`
	}
	assaytest.OracleInto(t, "data/sklearn_splits.json", &table)
	refused := 0
	for _, c := range table.Cases {
		t.Run(c.ID, func(t *testing.T) {
			got, err := splitBy(c.Splitter, c.Params, c.N, labels(t, c.Y), labels(t, c.Groups))
			if c.Error != nil {
				refused++
				if assay.CodeOf(err) != assay.Invalid {
					t.Fatalf("must be refused as invalid, got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := make([][2][]int, len(c.Splits))
			for i, s := range c.Splits {
				want[i] = [2][]int{s.Train, s.Test}
			}
			sameFolds(t, got, want)
		})
	}
	if len(table.Cases) != 510 || refused != 66 {
		t.Errorf("the table has %d cases, %d of them refused; want 510 and 66", len(table.Cases), refused)
	}
}

func TestSplitOracle(t *testing.T) {
	cases, _ := assaytest.Oracle(t, "stat/split.json")
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			var n int
			var p splitParams
			if raw, ok := c.Args["n"]; ok {
				into(t, raw, &n)
			}
			if raw, ok := c.Args["params"]; ok {
				into(t, raw, &p)
			}
			for name, field := range map[string]any{"test_size": &p.Test, "random_state": &p.Seed} {
				if raw, ok := c.Args[name]; ok {
					into(t, raw, field)
				}
			}
			y, groups := labels(t, c.Args["y"]), labels(t, c.Args["groups"])
			name := c.Fn
			switch c.Fn {
			case "split_sizes":
				train, test, err := stat.Sizes{Test: p.Test}.Of(n, stat.DefaultTestShare)
				if c.Error != nil {
					if assay.CodeOf(err) != assay.Invalid {
						t.Fatalf("must be refused as invalid, got %v", err)
					}
					return
				}
				var want [2]int
				into(t, c.Value, &want)
				if err != nil || [2]int{train, test} != want {
					t.Errorf("got %d %d %v, want %v", train, test, err, want)
				}
				return
			case "train_test_split", "train_test_split_stratified":
				if c.Fn == "train_test_split_stratified" {
					name, n, p.Stratify = "train_test_split", len(y), "y"
				}
				var want [2][]int
				into(t, c.Value, &want)
				got, err := splitBy(name, p, n, y, groups)
				if err != nil {
					t.Fatal(err)
				}
				sameFolds(t, got, [][2][]int{want})
				return
			}
			var want [][2][]int
			into(t, c.Value, &want)
			if c.Fn == "RepeatedKFold" { // the table does not state the number of folds
				p.Splits = len(want) / p.Repeats
			}
			got, err := splitBy(name, p, n, y, groups)
			if err != nil {
				t.Fatal(err)
			}
			sameFolds(t, got, want)
		})
	}
}

// TestFoldsPartition checks that test sides are disjoint, cover every row, and complement their training sides.
func TestFoldsPartition(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(10, 80).Draw(rt, "n")
		y := rapid.SliceOfN(rapid.IntRange(0, 2), n, n).Draw(rt, "y")
		groups := rapid.SliceOfN(rapid.IntRange(-3, 9), n, n).Draw(rt, "groups")
		k := stat.KFold{Splits: rapid.IntRange(2, 4).Draw(rt, "k"), Shuffle: true, Seed: rapid.Uint32().Draw(rt, "seed")}
		check := func(what string, folds []stat.Fold, err error, by []int) {
			if err != nil {
				return // too few groups or class members; the tables hold the conditions
			}
			seen := make([]int, n)
			for _, f := range folds {
				side := make([]int, n)
				for _, r := range f.Test {
					seen[r]++
					side[r]++
				}
				for _, r := range f.Train {
					side[r]++
				}
				if i := slices.IndexFunc(side, func(v int) bool { return v != 1 }); i >= 0 {
					rt.Fatalf("%s: row %d is %d times in one fold", what, i, side[i])
				}
				if by != nil {
					in := map[int]bool{}
					for _, r := range f.Test {
						in[by[r]] = true
					}
					for _, r := range f.Train {
						if in[by[r]] {
							rt.Fatalf("%s: group %d is on both sides", what, by[r])
						}
					}
				}
			}
			if i := slices.IndexFunc(seen, func(v int) bool { return v != 1 }); i >= 0 {
				rt.Fatalf("%s: row %d is tested %d times", what, i, seen[i])
			}
		}
		f, err := k.Split(n)
		check("KFold", f, err, nil)
		f, err = stat.StratifiedKFold(k).Split(y)
		check("StratifiedKFold", f, err, nil)
		f, err = stat.GroupKFold(k).Split(groups)
		check("GroupKFold", f, err, groups)
		f, err = stat.StratifiedGroupKFold(k).Split(y, groups)
		check("StratifiedGroupKFold", f, err, groups)
		f, err = stat.LeaveOneGroupOut(groups)
		check("LeaveOneGroupOut", f, err, groups)
	})
}

func TestSplittersRefuse(t *testing.T) {
	y := []int{0, 1, 0, 1, 0, 1}
	for what, err := range map[string]error{
		"no rows":             second(stat.KFold{}.Split(0)),
		"one fold":            second(stat.KFold{Splits: 1}.Split(10)),
		"seed, no shuffle":    second(stat.KFold{Seed: 3}.Split(10)),
		"repeat, no shuffle":  second(stat.KFold{Repeats: 2}.Split(10)),
		"no labels":           second(stat.StratifiedKFold{}.Split(nil)),
		"no groups":           second(stat.GroupKFold{}.Split(nil)),
		"one group":           second(stat.LeaveOneGroupOut([]int{1, 1})),
		"unequal lengths":     second(stat.StratifiedGroupKFold{Splits: 2}.Split(y, y[:3])),
		"stratify in order":   second(stat.TrainTestSplit(6, stat.TrainTestOptions{NoShuffle: true, Stratify: y})),
		"stratify other rows": second(stat.TrainTestSplit(5, stat.TrainTestOptions{Stratify: y})),
		"all rows for test":   second(stat.TrainTestSplit(6, stat.TrainTestOptions{Sizes: stat.Sizes{Test: 6}})),
		"half a row":          second(stat.TrainTestSplit(6, stat.TrainTestOptions{Sizes: stat.Sizes{Test: 1.5}})),
		"shares over one":     second(stat.TrainTestSplit(6, stat.TrainTestOptions{Sizes: stat.Sizes{Test: .6, Train: .6}})),
		"negative gap":        second(stat.TimeSeriesSplit{Gap: -1}.Split(30)),
		"no divisions":        second(stat.ShuffleSplit{Splits: -1}.Split(30)),
	} {
		if assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%s: got %v, want an error with code invalid", what, err)
		}
	}
	if err := second(stat.GroupKFold{Splits: 2, Shuffle: true, Repeats: 2}.Split(y)); assay.CodeOf(err) != assay.Unimplemented {
		t.Errorf("repeated group folds: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func into(t *testing.T, raw json.RawMessage, v any) {
	t.Helper()
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
}

func ExampleTrainTestSplit() {
	f, err := stat.TrainTestSplit(10, stat.TrainTestOptions{Seed: 42})
	fmt.Println(f.Train, f.Test, err)
	// Output: [0 7 2 9 4 3 6] [8 1 5] <nil>
}

func BenchmarkSplits(b *testing.B) {
	const n = 300_000
	y, groups := make([]int, n), make([]int, n)
	for i := range y {
		y[i], groups[i] = i*7%10/9, i*31%60_000
	}
	for name, split := range map[string]func() error{
		"TrainTestSplit": func() error { return second(stat.TrainTestSplit(n, stat.TrainTestOptions{Seed: 1})) },
		"TrainTestSplit/stratified": func() error {
			return second(stat.TrainTestSplit(n, stat.TrainTestOptions{Seed: 1, Stratify: y}))
		},
		"StratifiedKFold": func() error { return second(stat.StratifiedKFold{Shuffle: true, Seed: 1}.Split(y)) },
		"GroupKFold":      func() error { return second(stat.GroupKFold{}.Split(groups)) },
		"StratifiedGroupKFold": func() error {
			return second(stat.StratifiedGroupKFold{Shuffle: true, Seed: 1}.Split(y, groups))
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := split(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
