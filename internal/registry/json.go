package registry

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/assay-ml/assay"
)

// CardSchema names the form of the full JSON card.
const CardSchema = "assay.modelcard/1"

// WriteJSON writes the full card as JSON: the statements, every payload that the card draws on with its evidence id, the waivers and
// what is missing. The same dossier gives the same bytes.
func WriteJSON(d *Dossier) ([]byte, error) {
	page := Describe(d)
	facts := map[string]any{"model": d.Model}
	put := func(name string, have bool, v any) {
		if have {
			facts[name] = v
		}
	}
	put("snapshot", d.Snapshot != nil, d.Snapshot)
	put("datasheet", d.Datasheet != nil, d.Datasheet)
	put("validation", d.Validation != nil, d.Validation)
	put("split", d.Split != nil, d.Split)
	put("run", d.Run != nil, d.Run)
	put("disclosure", d.Disclosure != nil, d.Disclosure)
	put("evaluation", d.Evaluation != nil, d.Evaluation)
	put("comparison", d.Comparison != nil, d.Comparison)
	put("serving", d.Serving != nil, d.Serving)
	put("monitor", d.Monitor != nil, d.Monitor)
	put("incident", d.Incident != nil, d.Incident)
	waivers := d.Waivers
	if waivers == nil {
		waivers = []Fact[assay.Waiver]{}
	}
	return pretty(map[string]any{
		"schema": CardSchema, "name": d.Name, "version": d.Version, "model": d.Digest, "statements": d.Say, "facts": facts, "waivers": waivers,
		"evidence": page.Evidence, "missing": page.Missing, "complete": page.Complete,
	})
}

// The shape of a card of the Model Card Toolkit, schema version 0.0.2. Every value is a string there.
type toolkitCard struct {
	Version    string            `json:"schema_version"`
	Details    toolkitDetails    `json:"model_details"`
	Parameters toolkitParameters `json:"model_parameters"`
	Analysis   struct {
		Metrics []toolkitMetric `json:"performance_metrics"`
	} `json:"quantitative_analysis"`
	Considerations toolkitConsiderations `json:"considerations"`
}

type toolkitDetails struct {
	Name     string `json:"name"`
	Overview string `json:"overview,omitempty"`
	Owners   []struct {
		Name    string `json:"name"`
		Contact string `json:"contact,omitempty"`
	} `json:"owners,omitempty"`
	Version struct {
		Name string `json:"name"`
	} `json:"version"`
	Licenses []struct {
		Text string `json:"custom_text"`
	} `json:"licenses,omitempty"`
	References []toolkitReference `json:"references"`
	Path       string             `json:"path"`
}

type toolkitReference struct {
	Reference string `json:"reference"`
}

type toolkitParameters struct {
	Architecture string        `json:"model_architecture"`
	Data         []toolkitData `json:"data,omitempty"`
	Input        string        `json:"input_format"`
	Output       string        `json:"output_format"`
}

type toolkitData struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

type toolkitMetric struct {
	Type     string           `json:"type"`
	Value    string           `json:"value"`
	Slice    string           `json:"slice,omitempty"`
	Interval *toolkitInterval `json:"confidence_interval,omitempty"`
}

type toolkitInterval struct {
	Lower string `json:"lower_bound"`
	Upper string `json:"upper_bound"`
}

type toolkitText struct {
	Description string `json:"description"`
}

type toolkitConsiderations struct {
	Users       []toolkitText `json:"users,omitempty"`
	UseCases    []toolkitText `json:"use_cases,omitempty"`
	Limitations []toolkitText `json:"limitations,omitempty"`
	Tradeoffs   []toolkitText `json:"tradeoffs,omitempty"`
	Ethics      []struct {
		Name string `json:"name"`
	} `json:"ethical_considerations,omitempty"`
}

// WriteToolkit writes the card in the JSON of the Model Card Toolkit, schema version 0.0.2. Undefined figures are left out; evidence
// ids are references. The same dossier gives the same bytes.
func WriteToolkit(d *Dossier) ([]byte, error) {
	m := d.Model.Value
	c := toolkitCard{Version: "0.0.2"}
	c.Details.Name = d.Name
	if said(d.Say.Description) {
		c.Details.Overview = d.Say.Description
	}
	if said(d.Say.Owners) {
		c.Details.Owners = append(c.Details.Owners, struct {
			Name    string `json:"name"`
			Contact string `json:"contact,omitempty"`
		}{d.Say.Owners, d.Say.Contact})
	}
	c.Details.Version.Name = strconv.Itoa(d.Version)
	if said(d.Say.Licence) {
		c.Details.Licenses = append(c.Details.Licenses, struct {
			Text string `json:"custom_text"`
		}{d.Say.Licence})
	}
	for _, n := range d.cited() {
		c.Details.References = append(c.Details.References, toolkitReference{fmt.Sprintf("%s evidence %s", n.Name, n.ID)})
	}
	c.Details.Path = string(d.Digest)
	c.Parameters = toolkitParameters{Architecture: m.Learner, Input: fmt.Sprintf("%d columns", len(m.Inputs)), Output: string(m.Task) + ": " + m.Target}
	if s := d.Snapshot; s != nil {
		c.Parameters.Data = []toolkitData{{s.Value.Name, fmt.Sprintf("%d rows, %d columns, content %s", s.Value.Rows, len(s.Value.Fields), s.Value.Content)}}
	}
	c.Analysis.Metrics = []toolkitMetric{}
	add := func(name, slice string, e assay.Estimate) {
		if !e.Defined() {
			return
		}
		x := toolkitMetric{Type: name, Value: shortest(e.Value), Slice: slice}
		if e.HasInterval() {
			x.Interval = &toolkitInterval{shortest(e.Lo), shortest(e.Hi)}
		}
		c.Analysis.Metrics = append(c.Analysis.Metrics, x)
	}
	if e := d.Evaluation; e != nil {
		for _, x := range e.Value.Metrics {
			add(x.Name, "", x.Estimate)
		}
		if b := e.Value.Business; b != nil {
			add(b.Name, "", b.Estimate)
		}
		for _, s := range e.Value.Slices {
			for _, x := range s.Metrics {
				add(x.Name, s.Name, x.Estimate)
			}
		}
	}
	texts := func(ss ...string) (out []toolkitText) {
		for _, s := range ss {
			if said(s) {
				out = append(out, toolkitText{s})
			}
		}
		return out
	}
	c.Considerations.Users, c.Considerations.Tradeoffs = texts(d.Say.Users), texts(d.Say.Tradeoffs)
	c.Considerations.UseCases = texts(d.Say.IntendedUse)
	c.Considerations.Limitations = texts(d.Say.Limitations, d.Say.OutOfDist, d.Say.OutOfScope)
	if said(d.Say.Ethics) {
		c.Considerations.Ethics = append(c.Considerations.Ethics, struct {
			Name string `json:"name"`
		}{d.Say.Ethics})
	}
	return pretty(c)
}

// shortest writes a number with the fewest digits that read back as the same number.
func shortest(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func pretty(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the card cannot be written as JSON: %w", err)
	}
	return append(b, '\n'), nil
}
