package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// template is a SAM template, in the shapes of CloudFormation's JSON.
type template struct {
	Parameters map[string]struct{ Default any }
	Resources  map[string]*resource
}

// resource is one entry of Resources. Properties are as JSON gives them.
type resource struct {
	Type       string
	Properties map[string]any
}

// readTemplate reads a YAML file.
func readTemplate(name string) (*template, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("read the template %s: %w", name, err)
	}
	whole, err := plain(&document)
	if err != nil {
		return nil, fmt.Errorf("read the template %s: %w", name, err)
	}
	t := &template{}
	if err := convert(whole, t); err != nil {
		return nil, fmt.Errorf("read the template %s: %w", name, err)
	}
	return t, nil
}

// plain returns a node in JSON's form, with the short form of a function written out: !Ref X is {"Ref": X}, !GetAtt X
// is {"Fn::GetAtt": X}.
func plain(n *yaml.Node) (any, error) {
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		function := strings.TrimPrefix(n.Tag, "!")
		if function != "Ref" && function != "Condition" {
			function = "Fn::" + function
		}
		bare := *n
		bare.Tag = ""
		of, err := plain(&bare)
		return map[string]any{function: of}, err
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return plain(n.Content[0])
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			value, err := plain(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			m[n.Content[i].Value] = value
		}
		return m, nil
	case yaml.SequenceNode:
		all := make([]any, len(n.Content))
		for i, c := range n.Content {
			var err error
			if all[i], err = plain(c); err != nil {
				return nil, err
			}
		}
		return all, nil
	default:
		var v any
		err := n.Decode(&v)
		return v, err
	}
}

// clone returns a copy that can be changed.
func (t *template) clone() (*template, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	c := &template{}
	return c, json.Unmarshal(text, c)
}

const (
	typeFunction = "AWS::Serverless::Function"
	typeTable    = "AWS::DynamoDB::Table"
	typeQueue    = "AWS::SQS::Queue"
	typeRole     = "AWS::IAM::Role"
)

// named returns the logical ids of all resources of a type, in order.
func (t *template) named(kind string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(t.Resources)) {
		if t.Resources[name].Type == kind {
			names = append(names, name)
		}
	}
	return names
}

// at returns the value under a path of keys; nil if there is none.
func at(v any, path ...string) any {
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// list returns v as a list: itself, one element, or nothing.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// text returns v, which must be text.
func text(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("%v is no text", v)
	}
	return s, nil
}

// values are what references stand for: "ClientId" for !Ref ClientId, "BlobQueue.Arn" for !GetAtt BlobQueue.Arn.
type values map[string]string

// resolve returns the text of a value of the template.
func (known values) resolve(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case bool:
		return strconv.FormatBool(v), nil
	case map[string]any:
		if len(v) == 1 {
			for function, of := range v {
				return known.call(function, of)
			}
		}
	}
	return "", fmt.Errorf("%v is nothing that can be resolved here", v)
}

func (known values) call(function string, of any) (string, error) {
	name := reference(map[string]any{function: of})
	if name == "" {
		return "", fmt.Errorf("%s is no function that can be resolved here", function)
	}
	value, ok := known[name]
	if !ok {
		return "", fmt.Errorf("nothing is known of %s", name)
	}
	return value, nil
}

// reference returns what a !Ref or a !GetAtt names, or "".
func reference(v any) string {
	if name, ok := at(v, "Ref").(string); ok {
		return name
	}
	switch of := at(v, "Fn::GetAtt").(type) {
	case string:
		return of
	case []any:
		parts := make([]string, len(of))
		for i, part := range of {
			parts[i], _ = part.(string) // anything but text matches nothing
		}
		return strings.Join(parts, ".")
	}
	return ""
}

// parameters are the values of all parameters: those given, and the defaults of the others.
func (t *template) parameters(given values) (values, error) {
	all := values{}
	var missing []error
	for name, p := range t.Parameters {
		value, ok := given[name]
		if !ok && p.Default == nil {
			missing = append(missing, fmt.Errorf("parameter %s has no value", name))
			continue
		}
		if !ok {
			var err error
			if value, err = all.resolve(p.Default); err != nil {
				return nil, fmt.Errorf("parameter %s: %w", name, err)
			}
		}
		all[name] = value
	}
	return all, errors.Join(missing...)
}

// route is one route of the HTTP API and the function that answers it.
type route struct{ method, path, function string }

func (r route) pattern() string { return r.method + " " + r.path }

// events returns the event sources of one type, by function and name.
func (t *template) events(kind string) map[[2]string]map[string]any {
	found := map[[2]string]map[string]any{}
	for _, function := range t.named(typeFunction) {
		events, _ := t.Resources[function].Properties["Events"].(map[string]any)
		for name, e := range events {
			properties, ok := at(e, "Properties").(map[string]any)
			if at(e, "Type") == kind && ok {
				found[[2]string{function, name}] = properties
			}
		}
	}
	return found
}

// routes returns all routes of the HTTP API.
func (t *template) routes() ([]route, error) {
	var all []route
	for source, properties := range t.events("HttpApi") {
		method, err := text(properties["Method"])
		if err != nil {
			return nil, fmt.Errorf("event %s of %s: Method: %w", source[1], source[0], err)
		}
		path, err := text(properties["Path"])
		if err != nil {
			return nil, fmt.Errorf("event %s of %s: Path: %w", source[1], source[0], err)
		}
		all = append(all, route{strings.ToUpper(method), path, source[0]})
	}
	return all, nil
}
