package oip

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// doc is an object of a JSON document.
type doc = map[string]any

// openAPI answers an OpenAPI 3.1 document of one model: every path that takes its rows, the schema of a row, and a request and an
// answer that were tried, where the schema lets a row be made up.
func (s *Inference) openAPI(w http.ResponseWriter, r *http.Request) {
	name, version := r.PathValue("name"), r.PathValue("version")
	b, _, err := s.find(name, version)
	if err != nil {
		writeError(w, err)
		return
	}
	d, err := s.document(r.Context(), b)
	if err != nil {
		writeError(w, err)
		return
	}
	writeDocument(w, d)
}

func (s *Inference) document(ctx context.Context, b *serve.Bound) (doc, error) {
	in, lost, err := b.Input.JSONSchema(true)
	if err != nil {
		return nil, err
	}
	row := doc{}
	digits := json.NewDecoder(bytes.NewReader(in))
	digits.UseNumber() // a limit of 64 bits is no float
	if err := digits.Decode(&row); err != nil {
		return nil, err
	}
	delete(row, "$schema")
	if len(lost) > 0 {
		row["description"] = "Also checked, but not sayable in JSON Schema: " + join(lost)
	}
	ex := s.example(ctx, b)
	number, decided := strconv.Itoa(b.Number), ""
	if b.Threshold != 0 {
		decided = " A row is " + b.Positive + " from a probability of " + strconv.FormatFloat(b.Threshold, 'g', -1, 64) + " on."
	}
	paths := doc{}
	post := func(path, summary string, request, answer, fault string, body, reply any) (operation doc) {
		operation = doc{
			"summary":     summary,
			"requestBody": doc{"required": true, "content": doc{"application/json": media(request, body)}},
			"responses":   answers(answer, fault, reply),
		}
		paths[path] = doc{"post": operation}
		return operation
	}
	get := func(path, summary, ok, unready string) {
		responses := doc{"200": doc{"description": ok}, "404": failure("not served", plainFault)}
		if unready != "" {
			responses["503"] = failure(unready, plainFault)
		}
		paths[path] = doc{"get": doc{"summary": summary, "responses": responses}}
	}
	for _, prefix := range []string{"/v2/models/" + b.Name, "/v2/models/" + b.Name + "/versions/" + number} {
		post(prefix+"/infer", "Open Inference Protocol: a tensor for each column", "InferRequest", "InferResponse", plainFault, ex.infer, ex.inferReply)
		get(prefix+"/ready", "Whether the version takes traffic", "it does", "not ready")
		get(prefix, "Inputs and outputs", "the model's metadata", "")
	}
	for _, path := range []string{"/invocations", "/models/" + b.Name + "/invocations", "/models/" + b.Name + "/versions/" + number + "/invocations"} {
		scoring := post(path, "MLflow's scoring protocol", "Invocation", "Predictions", "InvocationError", ex.records, nil)
		scoring["requestBody"].(doc)["content"].(doc)["text/csv"] = doc{"schema": doc{"type": "string", "description": "a header with the names of the columns, and a line for each row; an empty cell is missing"}}
		scoring["responses"].(doc)["415"] = doc{"description": "neither JSON nor CSV, or another charset than UTF-8", "content": doc{"text/plain": doc{"schema": doc{"type": "string"}}}}
	}
	post("/v1/models/"+b.Name+":predict", "KServe V1", "Instances", "Predictions", plainFault, ex.instances, nil)
	get("/v1/models/"+b.Name, "KServe V1: whether the model takes traffic", "it does", "not ready")
	for verb, what := range map[string]string{"load": "Take the model into service again", "unload": "Take the model out of service, until it is loaded again or the server ends"} {
		paths["/v2/repository/models/"+b.Name+"/"+verb] = doc{"post": doc{"summary": what, "responses": doc{
			"200": doc{"description": "done"}, "403": failure("a page of another site sent it", plainFault), "404": failure("there is no such model", plainFault),
		}}}
	}
	tensor := func(data any) doc {
		return doc{
			"type": "object", "required": []string{"name", "shape", "datatype"},
			"properties": doc{
				"name": doc{"type": "string"}, "shape": doc{"type": "array", "items": doc{"type": "integer", "minimum": 0}},
				"datatype":   doc{"enum": []string{"BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP32", "FP64", "BYTES"}},
				"parameters": doc{"type": "object"}, "data": data,
			},
		}
	}
	params, invoked := paramSchemas(b), paramSchemas(b)
	if b.Param([]byte("predict_method")) == nil {
		invoked["predict_method"] = doc{"enum": []string{"predict", "predict_proba"}}
	}
	rows := doc{"type": "array", "items": doc{"$ref": "#/components/schemas/Row"}, "minItems": 1}
	return doc{
		"openapi": "3.1.0",
		"info": doc{
			"title": b.Name, "version": number,
			"description": "Predictions of " + b.String() + ". Every request is held against the schema of a row; what does not fit is refused with the number of the row and the name of the column." + decided,
		},
		"paths": paths,
		"components": doc{"schemas": doc{
			"Row": row,
			"Invocation": doc{"type": "object", "oneOf": []doc{
				{"required": []string{"dataframe_records"}}, {"required": []string{"dataframe_split"}}, {"required": []string{"instances"}}, {"required": []string{"inputs"}},
			}, "properties": doc{"dataframe_records": rows, "params": doc{"type": "object", "properties": invoked, "additionalProperties": len(params) == 0 || b.Casts() != nil}}},
			"Instances": doc{"type": "object", "required": []string{"instances"}, "properties": doc{
				"instances":  doc{"type": "array", "minItems": 1, "items": doc{"anyOf": []doc{{"$ref": "#/components/schemas/Row"}, {"type": "array"}}}},
				"parameters": doc{"type": "object", "properties": params, "additionalProperties": len(params) == 0},
			}},
			"Predictions": doc{"type": "object", "required": []string{"predictions"}, "properties": doc{"predictions": doc{"type": "array"}}},
			"InferRequest": doc{"type": "object", "required": []string{"inputs"}, "properties": doc{
				"id": doc{"type": "string", "maxLength": maxID}, "parameters": doc{"type": "object", "properties": params}, "inputs": doc{"type": "array", "minItems": 1, "items": tensor(doc{"type": "array"})},
				"outputs": doc{"type": "array", "items": doc{"type": "object", "required": []string{"name"}, "properties": doc{"name": doc{"enum": outputNames(b)}, "parameters": doc{"type": "object"}}}},
			}},
			"InferResponse": doc{"type": "object", "required": []string{"model_name", "model_version", "id", "outputs"}, "properties": doc{
				"model_name": doc{"type": "string"}, "model_version": doc{"type": "string"}, "id": doc{"type": "string"}, "parameters": doc{"type": "object"},
				"outputs": doc{"type": "array", "items": tensor(doc{"type": "array"})},
			}},
			plainFault: doc{"type": "object", "required": []string{"error"}, "properties": doc{"error": doc{"type": "string"}}},
			"InvocationError": doc{"type": "object", "required": []string{"error_code", "message"}, "properties": doc{
				"error_code": doc{"type": "string"}, "message": doc{"type": "string"},
			}},
		}},
	}, nil
}

func join(all []string) string {
	out := ""
	for i, s := range all {
		if i > 0 {
			out += "; "
		}
		out += s
	}
	return out + "."
}

// paramSchemas are the parameters of the model's signature; none where what evaluates the model takes none.
func paramSchemas(b *serve.Bound) doc {
	out := doc{}
	if !b.TakesParams() {
		return out
	}
	for _, p := range b.Params {
		one := doc{}
		switch p.Type {
		case "integer":
			one["type"], one["format"] = "integer", "int32"
		case "long":
			one["type"], one["format"] = "integer", "int64"
		case "float", "double":
			one["type"], one["format"] = "number", p.Type
		case "datetime":
			one["type"], one["format"] = "string", "date-time"
		default:
			one["type"] = p.Type
		}
		if p.List {
			one = doc{"type": "array", "items": one}
		}
		if len(p.Default) > 0 {
			one["default"] = p.Default
			if string(p.Default) == "null" {
				one["type"] = []any{one["type"], "null"}
			}
		}
		out[p.Name] = one
	}
	return out
}

// exampleParams are the defaults of the signature, as a request may name them.
func exampleParams(b *serve.Bound) doc {
	out := doc{}
	if !b.TakesParams() {
		return out
	}
	for _, p := range b.Params {
		if len(p.Default) == 0 {
			continue
		}
		if _, why := p.Typed(nil, p.Default); why == "" {
			out[p.Name] = p.Default
		}
	}
	return out
}

func outputNames(b *serve.Bound) []string {
	if hasProbabilities(b) {
		return []string{serve.PredictionField, probabilitiesName}
	}
	return []string{serve.PredictionField}
}

func media(name string, example any) doc {
	m := doc{"schema": doc{"$ref": "#/components/schemas/" + name}}
	if example != nil {
		m["example"] = example
	}
	return m
}

// plainFault is the schema of an error but for those of /invocations.
const plainFault = "Error"

func failure(what, schema string) doc {
	return doc{"description": what, "content": doc{"application/json": media(schema, nil)}}
}

func answers(name, fault string, example any) doc {
	failure := func(what string) doc { return failure(what, fault) }
	return doc{
		"200": doc{"description": "the predictions, in the order of the rows", "content": doc{"application/json": media(name, example)}},
		"400": failure("the request is not of the protocol, or rows do not fit the schema"),
		"403": doc{"description": "a page of another site sent it", "content": doc{"application/json": media(plainFault, nil)}},
		"404": failure("the model or version is not served"),
		"413": failure("the body is too large"),
		"429": failure("too many requests wait; Retry-After says when to come back"),
		"500": failure("the model failed or answered what it must not; the message has the incident's id"),
		"503": failure("no version answers now"),
	}
}

// examples are requests that were tried, and what was answered.
type examples struct{ infer, inferReply, records, instances any }

func (s *Inference) example(ctx context.Context, b *serve.Bound) (ex examples) {
	row, ok := b.Input.Example()
	if !ok {
		return ex
	}
	in := b.Inputs()
	record, list, inputs := doc{}, []json.RawMessage{}, []doc{}
	for i, x := range row {
		f := in.Field(i)
		typ, content := inputType(b, i)
		record[f.Name] = x
		list = append(list, x)
		inputs = append(inputs, doc{"name": f.Name, "shape": []int{1}, "datatype": typ.String(), "parameters": doc{"content_type": content}, "data": []json.RawMessage{x}})
	}
	c, err := s.Server.Begin("openapi", b.Name, strconv.Itoa(b.Number), "example")
	if err != nil {
		return ex
	}
	defer c.Release() // not End: it is nobody's request, neither counted nor logged
	var r schema.Reader
	c.Rows.Add(1)
	for i, x := range row {
		r.Reset(x, 0)
		c.Rows.JSON(&r, 0, i)
	}
	params := exampleParams(b)
	given := c.Given(false)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		given.Take([]byte(name), params[name].(json.RawMessage))
	}
	if given.End() != nil || c.Predict(ctx) != nil {
		return ex
	}
	var q request
	reply, _ := q.appendReply(nil, c)
	ex.inferReply = json.RawMessage(reply)
	infer, records, instances := doc{"id": "example", "inputs": inputs}, doc{"dataframe_records": []doc{record}}, doc{"instances": [][]json.RawMessage{list}}
	if len(params) > 0 {
		infer["parameters"], records["params"], instances["parameters"] = params, params, params
	}
	ex.infer, ex.records, ex.instances = infer, records, instances
	return ex
}
