package store

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/assay-ml/assay"
)

// A Registry keeps models, their numbered versions, and which version holds which stage and alias. Changes that move something
// compare and set: Expect names the version that must hold the stage or alias at that moment, 0 for none; nil does not look.
type Registry interface {
	// Register adds a version of a model under the next number, from 1; the model is made if needed. A model file that has a version
	// under this name keeps it: the version is returned as it is, with false.
	Register(ctx context.Context, r Registration) (Version, bool, error)
	// Models returns every model, by name.
	Models(ctx context.Context) ([]Model, error)
	// Versions returns the versions of a model, newest first, or NotFound for a name that is not registered.
	Versions(ctx context.Context, name string) ([]Version, error)
	// Version returns one version, or NotFound.
	Version(ctx context.Context, name string, number int) (Version, error)
	// VersionsOf returns every version, under any name, of the model file with that digest, by name.
	VersionsOf(ctx context.Context, model assay.Digest) ([]Version, error)
	// Holder returns the version that holds a stage, or NotFound.
	Holder(ctx context.Context, name string, stage assay.Stage) (Version, error)
	// Alias returns the version that an alias points at, or NotFound.
	Alias(ctx context.Context, name, alias string) (Version, error)
	// Promote moves a version to a stage in one transaction that reads the verdict again. It returns Refused when the verdict is about
	// another model, policy or stage, when it is not pass, when another version holds the stage than was expected, or when evidence
	// about the model or its data, or a stage of the name, moved after Seen: the verdict is stale then. The version that held the
	// stage is kept, archived. A version that holds the stage already is left there and the record of its promotion is
	// returned.
	Promote(ctx context.Context, m Move) (assay.Record, error)
	// Rollback gives a stage back to the version that held it before, in one transaction. It returns Refused when none did, or when
	// another version holds the stage than was expected, and Rejected when the model file of that version is gone or was altered.
	Rollback(ctx context.Context, b Back) (assay.Record, error)
	// SetAlias points an alias at a version; number 0 removes it. It returns Refused when it points elsewhere than was expected.
	SetAlias(ctx context.Context, a AliasMove) error
	// SetTags sets tags of a version, or of the model itself with number 0, and removes those of the given keys.
	SetTags(ctx context.Context, name string, number int, set map[string]string, remove ...string) error
	// SetTag sets one tag of a version. It returns Refused when its value is another than was expected.
	SetTag(ctx context.Context, t TagMove) error
	// SetDescription replaces the description of a version, or of the model itself with number 0.
	SetDescription(ctx context.Context, name string, number int, text string) error
	// History returns what happened to a model's versions, newest first; limit 0 means all.
	History(ctx context.Context, name string, limit int) ([]Event, error)
	// Changes returns how far the store has come, whoever wrote to it: cheap enough to be asked several times a second. What was read
	// from the store before a call is what it still holds as long as the mark is the same.
	Changes(ctx context.Context) (Mark, error)
}

// A Mark says how far a store has come. Both numbers are sequence numbers of the journal, 0 for an empty store, and only ever grow.
type Mark struct {
	Journal  int64 `json:"journal"`  // grows with every change: evidence, and all that Registry counts
	Registry int64 `json:"registry"` // grows when a version, a stage, an alias, a tag or a description changes, of any model
}

// A Model is a name under which versions are registered.
type Model struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Tags        map[string]string `json:"tags"`
	Latest      int               `json:"latest"` // the newest version's number
	CreatedAt   time.Time         `json:"created_at"`
}

// A Version is one model file under a name.
type Version struct {
	Name        string            `json:"name"`
	Number      int               `json:"number"`
	Model       assay.Digest      `json:"model"`    // of the model file
	Evidence    assay.Digest      `json:"evidence"` // id of the KindModel evidence
	Stage       assay.Stage       `json:"stage"`    // the highest that it holds; archived when it held one and does no longer
	Stages      []assay.Stage     `json:"stages"`   // all that it holds
	Aliases     []string          `json:"aliases"`
	Tags        map[string]string `json:"tags"`
	Description string            `json:"description"`
	CreatedAt   time.Time         `json:"created_at"`
}

// A Registration asks for a version.
type Registration struct {
	Name        string
	Evidence    assay.Digest // id of the KindModel evidence
	Description string
	Tags        map[string]string
	Context     map[string]string // for the journal
}

// A Move asks for a promotion.
type Move struct {
	Name    string
	Number  int
	Stage   assay.Stage  // staging or production
	Verdict assay.Digest // evidence id of the judgement
	Policy  assay.Digest // that the judgement must have applied
	Expect  *int
	Seen    *int64            // the journal's head before the evidence was read for the judgement; nil does not look
	Context map[string]string // for the journal
}

// A Back asks for a rollback.
type Back struct {
	Name    string
	Stage   assay.Stage
	Expect  *int
	Context map[string]string // for the journal
}

// An AliasMove asks for an alias to point at a version.
type AliasMove struct {
	Name    string
	Alias   string
	Number  int // 0 removes the alias
	Expect  *int
	Context map[string]string // for the journal
}

// A TagMove asks for a tag to get a value.
type TagMove struct {
	Name   string
	Number int
	Key    string
	Value  string
	Expect string // "" where there was none
}

// An Event is one line of a model's history.
type Event struct {
	Name     string      `json:"name"`
	Number   int         `json:"number"`
	Action   string      `json:"action"` // register, promote, rollback, alias, unalias, tag, untag, describe
	Stage    assay.Stage `json:"stage,omitempty"`
	Previous int         `json:"previous,omitempty"` // the version that held the stage or the alias before
	Detail   string      `json:"detail,omitempty"`   // the alias, or the tag's key
	Entry    assay.Entry `json:"entry"`

	text *string // a tag's value or a description that was set: its digest goes into the journal
}

// Limits of names and texts in the registry, in bytes.
const (
	MaxNameBytes = 250
	MaxTagBytes  = 8 << 10
	MaxTextBytes = 64 << 10
)

func checkName(ps *assay.Problems, what, s string) {
	switch {
	case s == "":
		ps.Add("the %s is empty", what)
	case len(s) > MaxNameBytes:
		ps.Add("the %s has %d bytes, more than the limit of %d", what, len(s), MaxNameBytes)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		ps.Add("the %s %q holds a character that cannot be printed", what, s)
	case strings.ContainsAny(s, `/\:@`):
		ps.Add(`the %s %q holds one of / \ : @`, what, s)
	case strings.TrimSpace(s) != s || s == "." || s == "..":
		ps.Add("the %s %q begins or ends with a blank, or is a directory's", what, s)
	}
}

// checkAlias refuses names that mean something else where a version is named. Case is no difference: latest and v<number> are reserved by
// MLflow so, in any case.
func checkAlias(ps *assay.Problems, s string) {
	low := strings.ToLower(s)
	number := strings.TrimPrefix(low, "v")
	switch {
	case low == "latest" || number != "" && strings.Trim(number, "0123456789") == "":
		ps.Add("the alias %q reads like a version", s)
	case slices.Contains([]assay.Stage{assay.StageNone, assay.StageStaging, assay.StageProduction, assay.StageArchived}, assay.Stage(low)):
		ps.Add("the alias %q reads like a stage", s)
	}
}

func checkTags(ps *assay.Problems, tags map[string]string) {
	for k, v := range tags {
		switch {
		case k == "" || len(k) > MaxNameBytes || !utf8.ValidString(k):
			ps.Add("a tag's key must have 1 to %d bytes of UTF-8", MaxNameBytes)
		case len(v) > MaxTagBytes || !utf8.ValidString(v):
			ps.Add("tag %q: its value must be at most %d bytes of UTF-8", k, MaxTagBytes)
		}
	}
	slices.Sort(*ps)
}

func checkText(ps *assay.Problems, s string) {
	if len(s) > MaxTextBytes || !utf8.ValidString(s) {
		ps.Add("the description must be at most %d bytes of UTF-8", MaxTextBytes)
	}
}

func checkStage(ps *assay.Problems, stage assay.Stage) {
	if stage != assay.StageStaging && stage != assay.StageProduction {
		ps.Add("stage %q: want %s or %s", stage, assay.StageStaging, assay.StageProduction)
	}
}
