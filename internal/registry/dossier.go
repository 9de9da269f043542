// Package registry keeps what is said about model versions: the evidence that counts for a version, its standing before the gate, and
// its card. The rows themselves (versions, stages, aliases) and the promotion transaction belong to the store.
//
// It trains nothing, scores nothing and judges nothing.
package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// Statements are what only people can say about a model. They come from the project's file.
type Statements struct {
	Description string `json:"description"`
	Licence     string `json:"licence"`
	Owners      string `json:"owners"`
	Contact     string `json:"contact"`
	IntendedUse string `json:"intended_use"`
	OutOfScope  string `json:"out_of_scope"`
	Limitations string `json:"limitations"`
	OutOfDist   string `json:"out_of_distribution"`
	Ethics      string `json:"ethical_considerations"`
	Users       string `json:"users,omitempty"`
	Tradeoffs   string `json:"tradeoffs,omitempty"`
}

// A Fact is evidence that a card draws on.
type Fact[T any] struct {
	ID    assay.Digest `json:"evidence"`
	Value T            `json:"payload"`
}

// Of reads the payload of a record. A nil record gives nil.
func Of[T any](r *assay.Record) (*Fact[T], error) {
	if r == nil {
		return nil, nil
	}
	v, err := assay.Decode[T](r.Evidence)
	if err != nil {
		return nil, err
	}
	return &Fact[T]{r.ID, v}, nil
}

// A Dossier is all that a card is written from: the statements and the current evidence about one version. A nil fact is missing.
type Dossier struct {
	Name       string
	Version    int
	Model      Fact[assay.Model]
	Digest     assay.Digest // of the model file
	Snapshot   *Fact[assay.Snapshot]
	Datasheet  *Fact[assay.Datasheet]
	Validation *Fact[assay.Validation]
	Split      *Fact[assay.Split]
	Run        *Fact[assay.Run]
	Evaluation *Fact[assay.Evaluation] // of the sealed test set
	Disclosure *Fact[assay.Disclosure]
	Comparison *Fact[assay.Comparison]
	Serving    *Fact[assay.Serving]
	Monitor    *Fact[assay.Monitor]
	TestFire   *Fact[assay.TestFire] // of the plan in Monitor
	Incident   *Fact[assay.Incident] // the newest that made the card stale, in the state in which it did
	Waivers    []Fact[assay.Waiver]
	Say        Statements
}

// Named is evidence under the name that rules and cards know it by.
type Named struct {
	Name string       `json:"name"`
	ID   assay.Digest `json:"evidence"`
}

// Facts lists the evidence of the dossier but for the waivers, in the order of a model's life.
func (d *Dossier) Facts() []Named {
	out := []Named{}
	add := func(name string, id assay.Digest) { out = append(out, Named{name, id}) }
	if d.Snapshot != nil {
		add("snapshot", d.Snapshot.ID)
	}
	if d.Datasheet != nil {
		add("datasheet", d.Datasheet.ID)
	}
	if d.Validation != nil {
		add("validation", d.Validation.ID)
	}
	if d.Split != nil {
		add("split", d.Split.ID)
	}
	if d.Run != nil {
		add("run", d.Run.ID)
	}
	add("model", d.Model.ID)
	if d.Disclosure != nil {
		add("disclosure", d.Disclosure.ID)
	}
	if d.Evaluation != nil {
		add("evaluation", d.Evaluation.ID)
	}
	if d.Comparison != nil {
		add("comparison", d.Comparison.ID)
	}
	if d.Serving != nil {
		add("serving", d.Serving.ID)
	}
	if d.Monitor != nil {
		add("monitor", d.Monitor.ID)
	}
	if d.TestFire != nil {
		add("test_fire", d.TestFire.ID)
	}
	return out
}

// cited lists everything that a card of the dossier names: its facts and its waivers. Alerts are test-fired again and again, which
// makes no card stale: the card cites the plan.
func (d *Dossier) cited() []Named {
	out := slices.DeleteFunc(d.Facts(), func(n Named) bool { return n.Name == "test_fire" })
	if d.Incident != nil {
		out = append(out, Named{"incident", d.Incident.ID})
	}
	for _, w := range d.Waivers {
		out = append(out, Named{"waiver", w.ID})
	}
	return out
}

// sources are the evidence ids that the card's figures point at, sorted.
func (d *Dossier) sources() []assay.Digest {
	var ids []assay.Digest
	for _, n := range d.cited() {
		ids = append(ids, n.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// missing names the sections that nobody or nothing has filled in.
func (d *Dossier) missing() []string {
	out := []string{}
	say := func(name, text string) {
		if !said(text) {
			out = append(out, name)
		}
	}
	say("card.description", d.Say.Description)
	say("card.intended_use", d.Say.IntendedUse)
	say("card.limitations", d.Say.Limitations)
	say("card.out_of_distribution", d.Say.OutOfDist)
	say("card.ethical_considerations", d.Say.Ethics)
	say("card.licence", d.Say.Licence)
	proof := func(name string, have bool) {
		if !have {
			out = append(out, name)
		}
	}
	proof("snapshot", d.Snapshot != nil)
	proof("datasheet", d.Datasheet != nil && d.Datasheet.Value.Complete)
	proof("split", d.Split != nil)
	proof("run", d.Run != nil)
	proof("final evaluation", d.Evaluation != nil)
	proof("comparison", d.Comparison != nil)
	return out
}

// said reports whether a statement says anything: it is neither empty nor a placeholder.
func said(text string) bool {
	t := strings.ToLower(strings.TrimSpace(text))
	return t != "" && t != "…" && t != "..." && t != "?" && t != "tbd" && !strings.HasPrefix(t, "todo")
}

// Stale names what of a card no longer is what the store and the project know: evidence that came or was replaced after it was written,
// evidence that it cites and that no longer counts, and statements that read otherwise. It is empty for a card that is up to date.
func Stale(card assay.Card, current *Dossier) []string {
	out := []string{}
	now := current.cited()
	for _, n := range now {
		if !slices.Contains(card.Sources, n.ID) {
			out = append(out, fmt.Sprintf("it does not know %s %s", n.Name, n.ID.Short()))
		}
	}
	for _, id := range card.Sources {
		if !slices.ContainsFunc(now, func(n Named) bool { return n.ID == id }) {
			out = append(out, fmt.Sprintf("it cites evidence %s, which no longer counts", id.Short()))
		}
	}
	if card.Statements != current.Say.digest() {
		out = append(out, "card in assay.yaml reads otherwise now")
	}
	return out
}

// digest identifies what people said.
func (s Statements) digest() assay.Digest {
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: statements cannot be written as JSON: " + err.Error())
	}
	return assay.DigestOf(b)
}
