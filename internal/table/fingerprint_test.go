package table

import (
	"context"
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
