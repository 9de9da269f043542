package store

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/blob"
)

// populate fills a store with some of everything.
func populate(t testing.TB, s *SQLite) {
	t.Helper()
	ctx := t.Context()
	one, two := model(t, s, "one"), model(t, s, "two")
	for i, m := range []assay.Record{one, two} {
		if _, _, err := s.Register(ctx, Registration{Name: "pay", Evidence: m.ID, Tags: map[string]string{"a": "b"}}); err != nil {
			t.Fatal(err)
		}
		v := verdict(t, s, m.Subject, assay.Judgement{Policy: digest("p"), Stage: assay.StageStaging, Verdict: assay.Pass})
		must(s.Promote(ctx, Move{Name: "pay", Number: i + 1, Stage: assay.StageStaging, Verdict: v, Policy: digest("p")}))(t)
	}
	if err := s.SetAlias(ctx, AliasMove{Name: "pay", Alias: "champion", Number: 2}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetDescription(ctx, "pay", 1, "the first"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetTags(ctx, "pay", 0, map[string]string{"owner": "x", "gone": "y"}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetTags(ctx, "pay", 0, nil, "gone"); err != nil {
		t.Fatal(err)
	}
	a := sealed(t, s, "a", prints(0, 100))
	sealed(t, s, "b", prints(50, 100))
	if _, _, err := s.Disclose(ctx, DisclosureRequest{Model: one.Subject, Split: a.Split, Rows: a.Rows, Metrics: []string{"f1_score"}, Configuration: digest("settings")}); err != nil {
		t.Fatal(err)
	}
}

func checkClean(t testing.TB, s *SQLite) Report {
	t.Helper()
	r := must(s.Fsck(context.Background()))(t)
	for _, p := range r.Problems {
		t.Errorf("fsck: %+v", p)
	}
	return r
}

// tamper changes the database of a store as somebody with a SQLite shell could.
func tamper(t testing.TB, dir string, statements ...string) {
	t.Helper()
	db := must(sql.Open("sqlite3", "file:"+filepath.Join(dir, databaseName)))(t)
	defer db.Close()
	db.SetMaxOpenConns(1)
	var drops []string
	err := each(t.Context(), db, func(scan func(...any) error) error {
		var name, ddl string
		err := scan(&name, &ddl)
		drops = append(drops, name, ddl)
		return err
	}, `SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'`)
	if err != nil {
		t.Fatal(err)
	}
	run := func(q string) {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	run(`PRAGMA foreign_keys = off`)
	for i := 0; i < len(drops); i += 2 {
		run(`DROP TRIGGER ` + drops[i])
	}
	for _, q := range statements {
		run(q)
	}
	for i := 1; i < len(drops); i += 2 {
		run(drops[i])
	}
}

func TestFsckClean(t *testing.T) {
	s := openDir(t, scratch(t))
	checkClean(t, s)
	populate(t, s)
	r := checkClean(t, s)
	if r.Evidence != 9 || r.Blobs != 6 || len(r.Orphans) != 0 {
		t.Errorf("%+v", r)
	}
	must(blob.PutBytes(t.Context(), s.Blobs(), []byte("nobody's")))(t)
	if err := os.WriteFile(filepath.Join(s.dir, blobsName, "tmp", "put-1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := checkClean(t, s); len(r.Orphans) != 2 || r.Orphans[0].Code != "orphan" || r.Orphans[1].Code != "temporary" {
		t.Errorf("%+v", r.Orphans)
	}
}

// TestFsckNames: each kind of damage is found and named.
// TestAlteredIsRefused: what was altered in the database is nobody's ground for a decision.
func TestAlteredIsRefused(t *testing.T) {
	for name, sql := range map[string]string{
		"payload":     `UPDATE evidence SET payload = CAST(replace(CAST(payload AS TEXT), '"one"', '"two"') AS BLOB) WHERE kind = 'model'`,
		"white space": `UPDATE evidence SET payload = CAST(' ' || CAST(payload AS TEXT) AS BLOB) WHERE kind = 'model'`,
		"subject":     `UPDATE evidence SET subject = replace(subject, 'a', 'b') WHERE kind = 'model'`,
		"parents":     `UPDATE evidence SET parents = (SELECT id FROM evidence WHERE kind = 'verdict' LIMIT 1) WHERE kind = 'model'`,
		"version":     `UPDATE evidence SET version = 2 WHERE kind = 'model'`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := scratch(t)
			s := openDir(t, dir)
			populate(t, s)
			held := must(s.Find(t.Context(), Query{Kind: assay.KindModel}))(t)
			tamper(t, dir, sql)
			refused := 0
			for _, r := range held {
				if got, err := s.Get(t.Context(), r.ID); assay.CodeOf(err) == assay.Rejected && strings.Contains(err.Error(), r.ID.Short()) {
					refused++
				} else if err != nil || !reflect.DeepEqual(got, r) {
					t.Errorf("%+v, %v, want %+v or a refusal", got, err, r)
				}
			}
			if refused == 0 {
				t.Error("nothing is refused")
			}
			if rs, err := s.Find(t.Context(), Query{Kind: assay.KindModel}); assay.CodeOf(err) != assay.Rejected {
				t.Errorf("%d are listed, %v", len(rs), err)
			}
		})
	}
}

// TestDatabaseGone: blobs without a database are no new store.
func TestDatabaseGone(t *testing.T) {
	dir := scratch(t)
	s := openDir(t, dir)
	populate(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, databaseName)
	for _, after := range []func() error{
		func() error { return os.Truncate(path, 0) },
		func() error { return os.Remove(path) },
	} {
		if err := after(); err != nil {
			t.Fatal(err)
		}
		s, err := OpenSQLite(t.Context(), Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"})
		if assay.CodeOf(err) != assay.Unavailable || !strings.Contains(err.Error(), "missing or empty") {
			t.Fatalf("%v, %v", s, err)
		}
	}
}

func TestFsckNames(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		want string // "code what" of one of the problems
	}{
		"payload":              {`UPDATE evidence SET payload = CAST(replace(CAST(payload AS TEXT), '"one"', '"two"') AS BLOB) WHERE kind = 'model'`, "altered evidence"},
		"subject":              {`UPDATE evidence SET subject = replace(subject, 'a', 'b') WHERE kind = 'split'`, "altered evidence"},
		"kind":                 {`UPDATE evidence SET kind = 'ci' WHERE kind = 'verdict'`, "altered evidence"},
		"unknown kind":         {`UPDATE evidence SET kind = 'hearsay' WHERE kind = 'verdict'`, "altered evidence"},
		"parents":              {`UPDATE evidence SET parents = '' WHERE kind = 'promotion'`, "altered evidence"},
		"parents index":        {`DELETE FROM parents`, "altered evidence"},
		"evidence gone":        {`DELETE FROM evidence WHERE kind = 'verdict'`, "missing evidence"},
		"entry gone":           {`DELETE FROM journal WHERE seq = 3`, "missing journal"},
		"first entry gone":     {`DELETE FROM journal WHERE seq = 1`, "missing journal"},
		"entry body":           {`UPDATE journal SET body = replace(body, 'assay test', 'assay tess') WHERE seq = 4`, "altered journal"},
		"entry with its hash":  {`UPDATE journal SET body = replace(body, 'assay test', 'assay tess'), hash = 'sha256:x' WHERE seq = 4`, "altered journal"},
		"entry's evidence":     {`UPDATE journal SET evidence = 'sha256:x' WHERE seq = 4`, "altered journal"},
		"entries swapped":      {`UPDATE journal SET seq = -1 WHERE seq = 4; UPDATE journal SET seq = 4 WHERE seq = 5; UPDATE journal SET seq = 5 WHERE seq = -1`, "altered journal"},
		"version's model":      {`UPDATE versions SET model = 'sha256:x' WHERE number = 1`, "altered version"},
		"version's evidence":   {`UPDATE versions SET evidence = (SELECT id FROM evidence WHERE kind = 'split') WHERE number = 1`, "dangling version"},
		"version gone":         {`DELETE FROM versions WHERE number = 1`, "missing version"},
		"last version gone":    {`DELETE FROM versions WHERE number = 2`, "dangling stage"},
		"stage moved":          {`UPDATE stages SET number = 1`, "altered stage"},
		"stage gone":           {`DELETE FROM stages`, "altered stage"},
		"stage given":          {`INSERT INTO stages VALUES ('pay', 'production', 2)`, "altered stage"},
		"tag altered":          {`UPDATE tags SET value = 'z' WHERE number = 1`, "altered tag"},
		"model tag altered":    {`UPDATE tags SET value = 'z' WHERE number = 0`, "altered tag"},
		"tag added":            {`INSERT INTO tags (name, number, key, value) VALUES ('pay', 2, 'approved', 'yes')`, "altered tag"},
		"tag back again":       {`INSERT INTO tags (name, number, key, value) VALUES ('pay', 0, 'gone', 'y')`, "altered tag"},
		"tag deleted":          {`DELETE FROM tags WHERE number = 1`, "missing tag"},
		"description altered":  {`UPDATE versions SET description = 'z' WHERE number = 1`, "altered version"},
		"description added":    {`UPDATE versions SET description = 'z' WHERE number = 2`, "altered version"},
		"model described":      {`UPDATE models SET description = 'z'`, "altered model"},
		"alias moved":          {`UPDATE aliases SET number = 1`, "altered alias"},
		"alias to nowhere":     {`UPDATE aliases SET number = 7`, "dangling alias"},
		"model without":        {`INSERT INTO models VALUES ('ghost', '', '')`, "dangling model"},
		"history altered":      {`UPDATE history SET number = 1 WHERE action = 'promote'`, "altered history"},
		"history gone":         {`DELETE FROM history WHERE action = 'promote'`, "missing history"},
		"registration gone":    {`DELETE FROM history WHERE action = 'register'`, "missing history"},
		"seal altered":         {`UPDATE seals SET fingerprints = labels`, "altered seal"},
		"seal gone":            {`DELETE FROM seals`, "missing seal"},
		"overlap gone":         {`DELETE FROM overlaps`, "altered seal"},
		"overlap shrunk":       {`UPDATE overlaps SET older_rows = 1, newer_rows = 1`, "altered seal"},
		"ledger line gone":     {`DELETE FROM disclosures`, "missing ledger"},
		"ledger line moved":    {`UPDATE disclosures SET seal = (SELECT max(seq) FROM seals)`, "altered ledger"},
		"ledger line's model":  {`UPDATE disclosures SET model = 'sha256:x'`, "altered ledger"},
		"dangling foreign key": {`UPDATE tags SET name = 'ghost'`, "dangling database"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := scratch(t)
			s := openDir(t, dir)
			populate(t, s)
			tamper(t, dir, strings.Split(c.sql, "; ")...)
			r := must(s.Fsck(t.Context()))(t)
			for _, p := range r.Problems {
				if p.Code+" "+p.What == c.want {
					return
				}
			}
			t.Errorf("no %q among %+v", c.want, r.Problems)
		})
	}
	t.Run("trigger gone", func(t *testing.T) {
		dir := scratch(t)
		s := openDir(t, dir)
		db := must(sql.Open("sqlite3", "file:"+filepath.Join(dir, databaseName)))(t)
		defer db.Close()
		must(db.Exec(`DROP TRIGGER journal_delete`))(t)
		if r := must(s.Fsck(t.Context()))(t); r.Clean() || !strings.Contains(r.Problems[0].Detail, "1 of the") {
			t.Errorf("%+v", r)
		}
	})
}

func TestFsckBlobs(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(path string) error
		want   string
	}{
		"gone":      {os.Remove, "missing blob"},
		"truncated": {func(p string) error { return os.Truncate(p, 3) }, "altered blob"},
		"flipped": {func(p string) error {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			b[0] ^= 1
			return os.WriteFile(p, b, 0o644)
		}, "altered blob"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openDir(t, scratch(t))
			m := model(t, s, "one")
			h := m.Subject.Hex()
			p := filepath.Join(s.dir, blobsName, "sha256", h[:2], h[2:])
			if err := os.Chmod(p, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := c.damage(p); err != nil {
				t.Fatal(err)
			}
			r := must(s.Fsck(t.Context()))(t)
			if len(r.Problems) != 1 || r.Problems[0].Code+" "+r.Problems[0].What != c.want || r.Problems[0].ID != m.Subject {
				t.Errorf("%+v", r.Problems)
			}
		})
	}
}

// TestFsckAsksForEveryBlob fills each kind of evidence with blobs wherever its payload names one, and takes away one at a time: exactly
// that one is missing, and nothing that evidence stands on is an orphan.
func TestFsckAsksForEveryBlob(t *testing.T) {
	for _, k := range Kinds() {
		if k.Kind == assay.KindPromotion || k.Kind == assay.KindDisclosure {
			continue // written by the store alone; they name no blob, as TestFsckClean shows
		}
		t.Run(string(k.Kind), func(t *testing.T) {
			s := openDir(t, scratch(t))
			p := reflect.New(k.Type)
			one(p.Elem())
			places := map[assay.Digest]string{}
			keep := func(at, content string) assay.Digest {
				d := must(blob.PutBytes(t.Context(), s.Blobs(), []byte(content)))(t)
				places[d] = at
				return d
			}
			named(p, "", func(names, at string, v reflect.Value) {
				switch names {
				case namesBlob:
					v.SetString(string(keep(at, at)))
				case namesManifest:
					inner := keep(at+" inner", at+" inner")
					v.SetString(string(keep(at, "M "+string(inner)+" train.py\nD gone.py\n")))
				}
			})
			log := keep("log", "printed")
			e := must(Evidence(k.Kind, digest("s"), nil, p.Interface()))(t)
			must(s.Append(t.Context(), map[string]string{assay.LogContext: string(log)}, e))(t)
			if r := checkClean(t, s); len(r.Orphans) > 0 || r.Blobs != int64(len(places)) {
				t.Errorf("%d blobs, of %d; orphans %+v", r.Blobs, len(places), r.Orphans)
			}
			for d, at := range places {
				h := d.Hex()
				file := filepath.Join(s.dir, blobsName, "sha256", h[:2], h[2:])
				if err := os.Rename(file, file+".away"); err != nil {
					t.Fatal(err)
				}
				ps := must(s.Fsck(t.Context()))(t).Problems
				if len(ps) != 1 || ps[0].Code != "missing" || ps[0].What != "blob" || ps[0].ID != d {
					t.Errorf("without %s: %+v", at, ps)
				}
				if err := os.Rename(file+".away", file); err != nil {
					t.Fatal(err)
				}
			}
			if len(places) == 1 {
				return
			}
			absent := reflect.New(k.Type)
			one(absent.Elem())
			named(absent, "", func(names, at string, v reflect.Value) {
				if names == namesBlob || names == namesManifest {
					v.SetString(string(digest("nowhere")))
				}
			})
			e = must(Evidence(k.Kind, digest("s"), nil, absent.Interface()))(t)
			_, err := s.Append(t.Context(), nil, e)
			wants(t, err, assay.Invalid, "stands on blob "+digest("nowhere").Short()+", which is not in the store")
		})
	}
}

// TestImmutable: the database itself refuses to change what must not change.
func TestImmutable(t *testing.T) {
	s := openDir(t, scratch(t))
	populate(t, s)
	for _, table := range []string{"journal", "evidence", "parents", "history", "seals", "overlaps", "disclosures"} {
		var column string
		if err := s.reads.QueryRow(`SELECT name FROM pragma_table_info(?) LIMIT 1`, table).Scan(&column); err != nil {
			t.Fatal(err)
		}
		for _, q := range []string{`DELETE FROM ` + table, `UPDATE ` + table + ` SET ` + column + ` = ` + column, `INSERT OR REPLACE INTO ` + table + ` SELECT * FROM ` + table} {
			if _, err := s.writes.Exec(q); err == nil {
				t.Errorf("%s is allowed", q)
			}
		}
	}
	for _, q := range []string{`DELETE FROM versions`, `UPDATE versions SET model = ''`} {
		if _, err := s.writes.Exec(q); err == nil {
			t.Errorf("%s is allowed", q)
		}
	}
	if _, err := s.reads.Exec(`DELETE FROM tags`); err == nil {
		t.Error("a reading connection can write")
	}
	checkClean(t, s)
}

// TestJournalByte: a change of any single byte of the journal shows.
func TestJournalByte(t *testing.T) {
	dir := scratch(t)
	s := openDir(t, dir)
	populate(t, s)
	type row struct {
		seq                  int64
		evidence, body, hash []byte
	}
	var rows []row
	err := each(t.Context(), s.reads, func(scan func(...any) error) error {
		var r row
		err := scan(&r.seq, &r.evidence, &r.body, &r.hash)
		rows = append(rows, r)
		return err
	}, `SELECT seq, evidence, body, hash FROM journal ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	broken := openDir(t, scratch(t)).dir
	tamper(t, broken, fmt.Sprintf(`ATTACH '%s' AS good`, filepath.Join(dir, databaseName)), `INSERT INTO journal SELECT * FROM good.journal`,
		`INSERT INTO evidence SELECT * FROM good.evidence`, `INSERT INTO parents SELECT * FROM good.parents`, `INSERT INTO models SELECT * FROM good.models`,
		`INSERT INTO versions SELECT * FROM good.versions`, `INSERT INTO history SELECT * FROM good.history`, `INSERT INTO stages SELECT * FROM good.stages`)
	db := must(sql.Open("sqlite3", "file:"+filepath.Join(broken, databaseName)))(t)
	defer db.Close()
	must(db.Exec(`DROP TRIGGER journal_update`))(t)
	journal := func() []Problem {
		f := newFsck(s)
		if err := f.journal(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		return f.report.Problems
	}
	if ps := journal(); len(ps) > 0 {
		t.Fatal(ps)
	}
	rapid.Check(t, func(rt *rapid.T) {
		r := rows[rapid.IntRange(0, len(rows)-1).Draw(rt, "row")]
		column := rapid.SampledFrom([]string{"evidence", "body", "hash"}).Draw(rt, "column")
		good := map[string][]byte{"evidence": r.evidence, "body": r.body, "hash": r.hash}[column]
		bad := bytes.Clone(good)
		i := rapid.IntRange(0, len(bad)-1).Draw(rt, "byte")
		bad[i] ^= rapid.ByteRange(1, 127).Draw(rt, "change")
		set := func(b []byte) {
			if _, err := db.Exec(`UPDATE journal SET `+column+` = CAST(? AS TEXT) WHERE seq = ?`, b, r.seq); err != nil {
				rt.Fatal(err)
			}
		}
		set(bad)
		ps := journal()
		set(good)
		if len(ps) == 0 {
			rt.Fatalf("entry %d: byte %d of %s changed from %q to %q unnoticed", r.seq, i, column, good[i], bad[i])
		}
	})
}

// TestVerifyJournal: the exported check finds every change of a field, and every gap.
func TestVerifyJournal(t *testing.T) {
	s := openDir(t, scratch(t))
	populate(t, s)
	es := must(s.Journal(t.Context(), 0, 0))(t)
	if ps := VerifyJournal("", es); len(ps) > 0 {
		t.Fatal(ps)
	}
	if ps := VerifyJournal(es[2].Hash, es[3:]); len(ps) > 0 {
		t.Fatal(ps)
	}
	for name, change := range map[string]func(*assay.Entry){
		"seq": func(e *assay.Entry) { e.Seq++ }, "evidence": func(e *assay.Entry) { e.Evidence = digest("x") },
		"producer": func(e *assay.Entry) { e.Producer += " " }, "at": func(e *assay.Entry) { e.At = e.At.Add(1) },
		"context": func(e *assay.Entry) { e.Context = map[string]string{"user": "x"} }, "previous": func(e *assay.Entry) { e.Previous = digest("x") },
		"hash": func(e *assay.Entry) { e.Hash = digest("x") },
	} {
		bad := append([]assay.Entry{}, es...)
		change(&bad[4])
		if len(VerifyJournal("", bad)) == 0 {
			t.Errorf("a change of %s goes unnoticed", name)
		}
	}
	if len(VerifyJournal("", append(append([]assay.Entry{}, es[:3]...), es[4:]...))) == 0 {
		t.Error("a gap goes unnoticed")
	}
	if len(VerifyJournal("", es[1:])) == 0 {
		t.Error("a missing beginning goes unnoticed")
	}
}

func TestOpenRefuses(t *testing.T) {
	open := func(dir string) error {
		s, err := OpenSQLite(t.Context(), Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"})
		if err == nil {
			s.Close()
		}
		return err
	}
	filled := func(t *testing.T) string {
		dir := scratch(t)
		s := must(OpenSQLite(t.Context(), Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"}))(t)
		populate(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	t.Run("newer", func(t *testing.T) {
		dir := filled(t)
		tamper(t, dir, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
		err := open(dir)
		wants(t, err, assay.Unimplemented, "the store has version 99, and this assay knows versions up to 2")
		if assay.HintOf(err) == "" {
			t.Error("no hint")
		}
	})
	t.Run("foreign", func(t *testing.T) {
		dir := scratch(t)
		db := must(sql.Open("sqlite3", "file:"+filepath.Join(dir, databaseName)))(t)
		must(db.Exec(`CREATE TABLE theirs (x)`))(t)
		db.Close()
		wants(t, open(dir), assay.Invalid, "of another program")
	})
	t.Run("not a database", func(t *testing.T) {
		dir := scratch(t)
		if err := os.WriteFile(filepath.Join(dir, databaseName), bytes.Repeat([]byte("not a database "), 1000), 0o644); err != nil {
			t.Fatal(err)
		}
		err := open(dir)
		wants(t, err, assay.Unavailable, "the database is damaged")
		if strings.Contains(err.Error(), dir) {
			t.Errorf("%v shows a path", err)
		}
	})
	t.Run("damaged pages", func(t *testing.T) {
		dir := filled(t)
		p := filepath.Join(dir, databaseName)
		b := must(os.ReadFile(p))(t)
		for i := 3 * 4096; i < len(b); i++ {
			b[i] ^= 0x5a
		}
		if err := os.WriteFile(p, b, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := OpenSQLite(t.Context(), Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"})
		if err != nil {
			wants(t, err, assay.Unavailable, "damaged")
			return
		}
		defer s.Close()
		r := must(s.Fsck(t.Context()))(t)
		if r.Clean() {
			t.Error("fsck finds a shredded database clean")
		}
		_, err = s.Find(t.Context(), Query{})
		wants(t, err, assay.Unavailable, "damaged")
	})
	t.Run("a file", func(t *testing.T) {
		p := filepath.Join(scratch(t), "file")
		if err := os.WriteFile(p, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := open(p); err == nil || strings.Contains(err.Error(), p) {
			t.Errorf("%v", err)
		}
	})
	t.Run("options", func(t *testing.T) { wants(t, open(""), assay.Internal) })
	t.Run("odd names", func(t *testing.T) {
		for _, name := range []string{"with blank", "50%", "a?b", "a#b", "ä", "a%20b", "a&b=c"} {
			dir := filepath.Join(scratch(t), name)
			if err := open(dir); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			if _, err := os.Stat(filepath.Join(dir, databaseName)); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
	})
}
