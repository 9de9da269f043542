package registry

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/assay-ml/assay"
)

// spdxLicences are the SPDX ids of common licences, by their lower-case form; any other licence goes by its name.
var spdxLicences = func() map[string]string {
	out := map[string]string{}
	for _, id := range strings.Fields(`Apache-2.0 MIT BSD-2-Clause BSD-3-Clause ISC MPL-2.0 CC0-1.0 CC-BY-4.0 CC-BY-SA-4.0 CC-BY-NC-4.0 CDLA-Permissive-2.0 CDLA-Sharing-1.0
		EUPL-1.2 GPL-2.0-only GPL-3.0-only GPL-3.0-or-later LGPL-3.0-only LGPL-3.0-or-later AGPL-3.0-only AGPL-3.0-or-later ODbL-1.0 PDDL-1.0 ODC-By-1.0 Unlicense Zlib`) {
		out[strings.ToLower(id)] = id
	}
	return out
}()

// WriteCycloneDX writes the card as a CycloneDX 1.6 machine-learning bill of materials: the model, its data set, and the model card of
// the specification. Every figure is a string in the shortest form that reads back as the same number; one that is undefined is left
// out. Evidence ids, and level, method and definition of each metric, are properties under the prefix "assay:". There is no clock time
// and no random serial number in it: the same dossier gives the same bytes.
func WriteCycloneDX(d *Dossier) ([]byte, error) {
	bom := cdx.NewBOM()
	cited := ""
	for _, n := range d.cited() {
		cited += string(n.ID)
	}
	h := assay.DigestOf([]byte(d.Name + "\n" + strconv.Itoa(d.Version) + "\n" + string(d.Digest) + "\n" + cited + "\n" + string(d.Say.digest()))).Hex()
	// a UUID of version 8, RFC 9562: of content
	bom.SerialNumber = fmt.Sprintf("urn:uuid:%s-%s-8%s-8%s-%s", h[:8], h[8:12], h[12:15], h[15:18], h[18:30])
	model := d.component()
	bom.Metadata = &cdx.Metadata{Component: &model}
	if data := d.dataComponent(); data != nil {
		bom.Components = &[]cdx.Component{*data}
		bom.Dependencies = &[]cdx.Dependency{{Ref: model.BOMRef, Dependencies: &[]string{data.BOMRef}}}
	}
	var b bytes.Buffer
	if err := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, assay.Errorf(assay.Internal, "the bill of materials cannot be written: %w", err)
	}
	return b.Bytes(), nil
}

// dataRef names the data set within the bill of materials.
const dataRef = "data"

func (d *Dossier) component() cdx.Component {
	m := d.Model.Value
	c := cdx.Component{
		BOMRef: "model", Type: cdx.ComponentTypeMachineLearningModel, Name: d.Name, Version: strconv.Itoa(d.Version),
		Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: d.Digest.Hex()}},
	}
	if said(d.Say.Description) {
		c.Description = strings.TrimSpace(d.Say.Description)
	}
	if l := strings.TrimSpace(d.Say.Licence); said(l) {
		licence := cdx.License{Name: line(l)}
		if id, ok := spdxLicences[strings.ToLower(l)]; ok {
			licence = cdx.License{ID: id}
		}
		c.Licenses = &cdx.Licenses{{License: &licence}}
	}
	if said(d.Say.Owners) { // a contact may be an address, a page or a name: it stays a property
		c.Manufacturer = &cdx.OrganizationalEntity{Name: line(d.Say.Owners)}
	}
	p := cdx.MLModelParameters{
		Approach: &cdx.MLModelParametersApproach{Type: cdx.MLModelParametersApproachTypeSupervised}, Task: string(m.Task), ModelArchitecture: m.Learner,
		Outputs: &[]cdx.MLInputOutputParameters{{Format: m.Target}},
	}
	var inputs []cdx.MLInputOutputParameters
	for _, f := range m.Inputs {
		inputs = append(inputs, cdx.MLInputOutputParameters{Format: f.Name + ": " + string(f.Type)})
	}
	if len(inputs) > 0 {
		p.Inputs = &inputs
	}
	if d.Snapshot != nil {
		p.Datasets = &[]cdx.MLDatasetChoice{{Ref: dataRef}}
	}
	c.ModelCard = &cdx.MLModelCard{ModelParameters: &p, QuantitativeAnalysis: d.quantities(), Considerations: d.considerations()}
	props := []cdx.Property{{Name: "assay:complete", Value: strconv.FormatBool(len(d.missing()) == 0)}}
	for _, n := range d.missing() {
		props = append(props, cdx.Property{Name: "assay:missing", Value: n})
	}
	if said(d.Say.Contact) {
		props = append(props, cdx.Property{Name: "assay:contact", Value: line(d.Say.Contact)})
	}
	for _, n := range d.cited() {
		props = append(props, cdx.Property{Name: "assay:evidence:" + n.Name, Value: string(n.ID)})
	}
	for _, x := range d.figures() {
		props = append(props, cdx.Property{Name: "assay:definition:" + x.Name, Value: x.Definition})
		if x.Estimate.HasInterval() {
			props = append(props, cdx.Property{Name: "assay:interval:" + x.Name, Value: fmt.Sprintf("level %s, %s, n %d", shortest(x.Estimate.Level), x.Estimate.Method, x.Estimate.N)})
		}
	}
	for _, w := range d.Waivers {
		props = append(props, cdx.Property{
			Name:  "assay:waiver:" + w.Value.Rule,
			Value: line(fmt.Sprintf("%s, %s: %s (%s)", w.Value.Stage, w.Value.By, w.Value.Reason, w.ID)),
		})
	}
	c.Properties = &props
	return c
}

// figures are the metrics of the sealed rows that have a value, the business metric last.
func (d *Dossier) figures() []assay.Metric {
	if d.Evaluation == nil {
		return nil
	}
	out := slices.Clone(d.Evaluation.Value.Metrics)
	if b := d.Evaluation.Value.Business; b != nil {
		out = append(out, *b)
	}
	return slices.DeleteFunc(out, func(m assay.Metric) bool { return !m.Estimate.Defined() })
}

func (d *Dossier) quantities() *cdx.MLQuantitativeAnalysis {
	out := []cdx.MLPerformanceMetric{}
	add := func(name, slice string, e assay.Estimate) {
		if !e.Defined() {
			return
		}
		x := cdx.MLPerformanceMetric{Type: name, Value: shortest(e.Value), Slice: slice}
		if e.HasInterval() {
			x.ConfidenceInterval = &cdx.MLPerformanceMetricConfidenceInterval{LowerBound: shortest(e.Lo), UpperBound: shortest(e.Hi)}
		}
		out = append(out, x)
	}
	for _, x := range d.figures() {
		add(x.Name, "", x.Estimate)
	}
	if e := d.Evaluation; e != nil {
		for _, x := range d.figures() {
			add("gain of "+x.Name+" over "+e.Value.Baseline, "", x.Gain)
		}
		for _, s := range e.Value.Slices {
			for _, x := range s.Metrics {
				add(x.Name, s.Name, x.Estimate)
			}
		}
		for _, f := range e.Value.Fairness {
			add(f.Name, f.Column, f.Estimate)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return &cdx.MLQuantitativeAnalysis{PerformanceMetrics: &out}
}

func (d *Dossier) considerations() *cdx.MLModelCardConsiderations {
	texts := func(ss ...string) *[]string {
		var out []string
		for _, s := range ss {
			if said(s) {
				out = append(out, strings.TrimSpace(s))
			}
		}
		if out == nil {
			return nil
		}
		return &out
	}
	scope := ""
	if said(d.Say.OutOfScope) {
		scope = "Out of scope: " + strings.TrimSpace(d.Say.OutOfScope)
	}
	c := cdx.MLModelCardConsiderations{Users: texts(d.Say.Users), PerformanceTradeoffs: texts(d.Say.Tradeoffs), UseCases: texts(d.Say.IntendedUse), TechnicalLimitations: texts(d.Say.Limitations, d.Say.OutOfDist, scope)}
	if said(d.Say.Ethics) {
		c.EthicalConsiderations = &[]cdx.MLModelCardEthicalConsideration{{Name: strings.TrimSpace(d.Say.Ethics)}}
	}
	if e := d.Evaluation; e != nil { // a slice that is surely worse is a group at risk
		worse := "the model is worse than the baseline for these rows, after correction for the number of slices"
		if e.Value.SliceRule != "baseline" {
			worse = "the model is worse for these rows than for all others, after correction for the number of slices"
		}
		var at []cdx.MLModelCardFairnessAssessment
		for _, s := range e.Value.Slices {
			if s.Verdict == assay.Fail {
				at = append(at, cdx.MLModelCardFairnessAssessment{GroupAtRisk: s.Name, Harms: worse})
			}
		}
		if at != nil {
			c.FairnessAssessments = &at
		}
	}
	if c == (cdx.MLModelCardConsiderations{}) {
		return nil
	}
	return &c
}

// dataComponent is the data set that the model learned from; nil when it is not versioned.
func (d *Dossier) dataComponent() *cdx.Component {
	s := d.Snapshot
	if s == nil {
		return nil
	}
	c := cdx.Component{
		BOMRef: dataRef, Type: cdx.ComponentTypeData, Name: s.Value.Name, Version: string(s.Value.Content),
		Data: &[]cdx.ComponentData{{Type: cdx.ComponentDataTypeDataset, Name: s.Value.Name, Description: fmt.Sprintf("%d rows, %d columns", s.Value.Rows, len(s.Value.Fields))}},
	}
	props := []cdx.Property{{Name: "assay:evidence:snapshot", Value: string(s.ID)}, {Name: "assay:content", Value: string(s.Value.Content)}}
	if x := d.Datasheet; x != nil {
		props = append(props, cdx.Property{Name: "assay:evidence:datasheet", Value: string(x.ID)})
	}
	if x := d.Split; x != nil {
		props = append(props, cdx.Property{Name: "assay:evidence:split", Value: string(x.ID)})
		for _, part := range x.Value.Parts {
			props = append(props, cdx.Property{Name: "assay:part:" + part.Name, Value: strconv.FormatInt(part.Rows, 10) + " rows"})
		}
	}
	c.Properties = &props
	return &c
}
