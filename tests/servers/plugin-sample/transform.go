// Transforms of items: one that labels, and one that looks into Secrets.
//
// What "label" does, its parameter `do` says: nothing said, it sets the label `label` to `value` by a patch. The others are
// for tests of what Hindcast refuses.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc/codes"

	"hindcast.dev/testbed/plugin-sample/pluginv1"
)

var transforms = []*pluginv1.TransformCapability{
	{
		Name:  "label",
		Kinds: []*pluginv1.Kind{{Group: "apps", Kind: "Deployment"}, {Kind: "Secret"}},
	},
	{
		Name:         "look-inside",
		Kinds:        []*pluginv1.Kind{{Kind: "Secret"}},
		SealedValues: true,
	},
}

type operation struct {
	Op    string `json:"op"`
	From  string `json:"from,omitempty"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

func (p *plugin) Transform(_ context.Context, request *pluginv1.TransformRequest) (*pluginv1.TransformResponse, error) {
	answer := &pluginv1.TransformResponse{}
	for _, item := range request.GetItems() {
		if err := p.note(item.GetJson()); err != nil {
			return nil, err
		}
		outcome, err := transformed(request, item.GetJson())
		if err != nil {
			failed := &pluginv1.Failure{Code: uint32(codes.InvalidArgument), Message: err.Error()}
			outcome = &pluginv1.ItemOutcome{Outcome: &pluginv1.ItemOutcome_Failure{Failure: failed}}
		}
		answer.Outcomes = append(answer.Outcomes, outcome)
	}
	return answer, nil
}

func transformed(request *pluginv1.TransformRequest, item []byte) (*pluginv1.ItemOutcome, error) {
	parameters := request.GetParameters()
	if request.GetTransform() == "look-inside" {
		return patch(operation{Op: "add", Path: "/data/seen", Value: "dHJ1ZQ=="})
	}
	switch do := parameters["do"]; do {
	case "":
		return label(item, parameters["label"], parameters["value"])
	case "nothing":
		return &pluginv1.ItemOutcome{Outcome: &pluginv1.ItemOutcome_Unchanged_{Unchanged: &pluginv1.ItemOutcome_Unchanged{}}}, nil
	case "drop":
		dropped := &pluginv1.ItemOutcome_Dropped{Reason: "the sample drops it"}
		return &pluginv1.ItemOutcome{Outcome: &pluginv1.ItemOutcome_Dropped_{Dropped: dropped}}, nil
	case "set":
		return patch(operation{Op: "add", Path: parameters["path"], Value: parameters["value"]})
	case "copy":
		return patch(operation{Op: "copy", From: parameters["from"], Path: parameters["path"]})
	case "replace":
		return &pluginv1.ItemOutcome{Outcome: &pluginv1.ItemOutcome_Replaced{Replaced: []byte(parameters["json"])}}, nil
	default:
		return nil, fmt.Errorf("it cannot do %q", do)
	}
}

// Sets a label.
func label(item []byte, name, value string) (*pluginv1.ItemOutcome, error) {
	var object struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(item, &object); err != nil {
		return nil, err
	}
	var operations []operation
	if object.Metadata.Labels == nil {
		operations = append(operations, operation{Op: "add", Path: "/metadata/labels", Value: map[string]string{}})
	}
	pointer := "/metadata/labels/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	return patch(append(operations, operation{Op: "add", Path: pointer, Value: value})...)
}

func patch(operations ...operation) (*pluginv1.ItemOutcome, error) {
	text, err := json.Marshal(operations)
	return &pluginv1.ItemOutcome{Outcome: &pluginv1.ItemOutcome_Patch{Patch: text}}, err
}

// Writes down what it was given, for a test to see.
func (p *plugin) note(item []byte) error {
	if p.seen == "" {
		return nil
	}
	file, err := os.OpenFile(p.seen, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = fmt.Fprintf(file, "%s\n", item)
	return err
}
