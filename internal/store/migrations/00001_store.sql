-- +goose Up
PRAGMA application_id = 1095989601; -- "ASya": what tells a store from any other SQLite file

-- One row an entry: body is the canonical JSON that hash covers, and holds the hash of the entry before.
CREATE TABLE journal (
    seq      INTEGER PRIMARY KEY,
    evidence TEXT NOT NULL,
    body     TEXT NOT NULL,
    hash     TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX journal_evidence ON journal (evidence, seq);

-- seq is that of the entry that first brought the evidence; parents are separated by blanks.
CREATE TABLE evidence (
    seq     INTEGER PRIMARY KEY REFERENCES journal (seq),
    id      TEXT NOT NULL UNIQUE,
    kind    TEXT NOT NULL,
    version INTEGER NOT NULL,
    subject TEXT NOT NULL,
    parents TEXT NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE INDEX evidence_kind ON evidence (kind, seq);
CREATE INDEX evidence_subject ON evidence (subject, kind, seq);

CREATE TABLE parents (
    parent TEXT NOT NULL REFERENCES evidence (id),
    child  INTEGER NOT NULL REFERENCES evidence (seq),
    PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;

CREATE TABLE models (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    created     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE versions (
    name        TEXT NOT NULL REFERENCES models (name),
    number      INTEGER NOT NULL CHECK (number > 0),
    model       TEXT NOT NULL,
    evidence    TEXT NOT NULL REFERENCES evidence (id),
    description TEXT NOT NULL,
    created     TEXT NOT NULL,
    PRIMARY KEY (name, number),
    UNIQUE (name, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX versions_model ON versions (model);

CREATE TABLE stages (
    name   TEXT NOT NULL,
    stage  TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (name, stage),
    FOREIGN KEY (name, number) REFERENCES versions (name, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE aliases (
    name   TEXT NOT NULL,
    alias  TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (name, alias),
    FOREIGN KEY (name, number) REFERENCES versions (name, number)
) STRICT, WITHOUT ROWID;

-- number 0 is the model itself.
CREATE TABLE tags (
    name   TEXT NOT NULL REFERENCES models (name),
    number INTEGER NOT NULL,
    key    TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (name, number, key)
) STRICT, WITHOUT ROWID;

-- What happened to a model's versions. Each row stands on the journal entry seq, whose context repeats it.
CREATE TABLE history (
    seq      INTEGER PRIMARY KEY REFERENCES journal (seq),
    name     TEXT NOT NULL,
    number   INTEGER NOT NULL,
    action   TEXT NOT NULL,
    stage    TEXT NOT NULL,
    previous INTEGER NOT NULL,
    detail   TEXT NOT NULL
) STRICT;
CREATE INDEX history_name ON history (name, stage, seq);

CREATE TABLE seals (
    seq          INTEGER PRIMARY KEY REFERENCES journal (seq),
    split        TEXT NOT NULL UNIQUE REFERENCES evidence (id),
    data         TEXT NOT NULL,
    rows         TEXT NOT NULL,
    count        INTEGER NOT NULL,
    fingerprints TEXT NOT NULL,
    labels       TEXT NOT NULL
) STRICT;
CREATE INDEX seals_labels ON seals (labels);

-- Two sealed sets, older first, and the number of rows of each that the other has too.
CREATE TABLE overlaps (
    older       INTEGER NOT NULL REFERENCES seals (seq),
    newer       INTEGER NOT NULL REFERENCES seals (seq),
    older_rows  INTEGER NOT NULL,
    newer_rows  INTEGER NOT NULL,
    PRIMARY KEY (older, newer)
) STRICT, WITHOUT ROWID;

CREATE TABLE disclosures (
    seq      INTEGER PRIMARY KEY REFERENCES journal (seq),
    evidence TEXT NOT NULL UNIQUE REFERENCES evidence (id),
    seal     INTEGER NOT NULL REFERENCES seals (seq),
    model    TEXT NOT NULL
) STRICT;
CREATE INDEX disclosures_seal ON disclosures (seal, model);

-- +goose StatementBegin
CREATE TRIGGER journal_update BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER journal_delete BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER evidence_update BEFORE UPDATE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is immutable'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER evidence_delete BEFORE DELETE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is immutable'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER parents_update BEFORE UPDATE ON parents BEGIN SELECT RAISE(ABORT, 'evidence is immutable'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER parents_delete BEFORE DELETE ON parents BEGIN SELECT RAISE(ABORT, 'evidence is immutable'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER versions_update BEFORE UPDATE OF name, number, model, evidence, created ON versions BEGIN SELECT RAISE(ABORT, 'a version is immutable'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER versions_delete BEFORE DELETE ON versions BEGIN SELECT RAISE(ABORT, 'a version is immutable'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER history_update BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER history_delete BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER seals_update BEFORE UPDATE ON seals BEGIN SELECT RAISE(ABORT, 'a seal is immutable'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER seals_delete BEFORE DELETE ON seals BEGIN SELECT RAISE(ABORT, 'a seal is immutable'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER overlaps_update BEFORE UPDATE ON overlaps BEGIN SELECT RAISE(ABORT, 'a seal is immutable'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER overlaps_delete BEFORE DELETE ON overlaps BEGIN SELECT RAISE(ABORT, 'a seal is immutable'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER disclosures_update BEFORE UPDATE ON disclosures BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER disclosures_delete BEFORE DELETE ON disclosures BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
-- +goose StatementEnd
