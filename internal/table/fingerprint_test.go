package table

import (
	"context"
	"strconv"
	"testing"
)

func TestContentDigestOfEmployment(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	a := read(t, e, example("train_2015.parquet"), ReadOptions{})
	b := read(t, e, example("train_2015.csv.gz"), ReadOptions{})
	da, err := a.ContentDigest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	db, err := b.ContentDigest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if da != db {
		t.Errorf("Parquet has %s, CSV has %s", da, db)
	}
}

// The digests of groups are those of the views of their rows, of a group without rows too; rows without a group are in none.
func TestContentDigestsOfGroups(t *testing.T) {
	ctx := context.Background()
	x := read(t, open(t), example("train_2015.parquet"), ReadOptions{})
	groups := []int64{1, 2, 77, 3}
	got, err := x.ContentDigests(ctx, "CASE WHEN MAR < 4 THEN MAR::BIGINT END", groups)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range groups {
		v, err := x.Where(ctx, "MAR = "+strconv.FormatInt(k, 10)+" AND MAR < 4")
		if err != nil {
			t.Fatal(err)
		}
		want, err := v.ContentDigest(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got[i] != want || (v.Rows() == 0) != (k == 77) {
			t.Errorf("group %d of %d rows: %s, want %s", k, v.Rows(), got[i], want)
		}
	}
}
