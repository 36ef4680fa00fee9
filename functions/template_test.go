package functions_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// template is template.yaml: maps, lists and scalars, in which !Ref X is {"Ref": "X"}, and !GetAtt X.Arn is
// {"GetAtt": "X.Arn"}.
type template map[string]any

func readTemplate(t *testing.T) template {
	t.Helper()
	text, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return template(plain(t, document.Content[0]).(map[string]any))
}

// plain is a node without the notation of YAML.
func plain(t *testing.T, n *yaml.Node) any {
	t.Helper()
	var value any
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plain(t, n.Content[i+1])
		}
		value = m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			list[i] = plain(t, c)
		}
		value = list
	case yaml.ScalarNode:
		if n.ShortTag() == "!!int" || n.ShortTag() == "!!bool" {
			if err := n.Decode(&value); err != nil {
				t.Fatal(err)
			}
		} else {
			value = n.Value
		}
	default:
		t.Fatalf("template.yaml:%d: neither a map, a list nor a scalar", n.Line)
	}
	if tag := n.ShortTag(); !strings.HasPrefix(tag, "!!") {
		return map[string]any{strings.TrimPrefix(tag, "!"): value}
	}
	return value
}

// at returns the value under a path of keys, or nil.
func at(v any, path ...string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func ref(name string) map[string]any { return map[string]any{"Ref": name} }

// refers returns the name of the resource or parameter to which !Ref or !GetAtt points, or "".
func refers(v any) string {
	if name, ok := at(v, "Ref").(string); ok {
		return name
	}
	name, _ := at(v, "GetAtt").(string)
	name, _, _ = strings.Cut(name, ".")
	return name
}

// items returns a list as it is, and any other value as a list of one.
func items(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

func number(v any) int { n, _ := v.(int); return n }

// resources returns the properties of all resources of a type, by name.
func (t template) resources(kind string) map[string]map[string]any {
	found := map[string]map[string]any{}
	all, _ := t["Resources"].(map[string]any)
	for name, r := range all {
		if at(r, "Type") == kind {
			properties, _ := at(r, "Properties").(map[string]any)
			found[name] = properties
		}
	}
	return found
}

// functions returns the properties of all functions, including those of Globals, by the name of their folder.
func (t template) functions() map[string]map[string]any {
	found := map[string]map[string]any{}
	global, _ := at(map[string]any(t), "Globals", "Function").(map[string]any)
	for name, own := range t.resources("AWS::Serverless::Function") {
		folder := strings.ToLower(strings.TrimSuffix(name, "Function"))
		found[folder] = merged(global, own)
	}
	return found
}

// logical returns the name in the template of a folder's function.
func logical(folder string) string {
	return strings.ToUpper(folder[:1]) + folder[1:] + "Function"
}

// merged applies Globals as SAM does: it merges maps, and for everything else the value of the function counts.
func merged(global, own map[string]any) map[string]any {
	all := maps.Clone(global)
	if all == nil {
		all = map[string]any{}
	}
	for key, value := range own {
		inner, both := value.(map[string]any)
		outer, ok := all[key].(map[string]any)
		if both && ok {
			value = merged(outer, inner)
		}
		all[key] = value
	}
	return all
}

// checks lists what must be true of the template. Each check returns what is wrong.
func checks(t *testing.T) map[string]func(template) []string {
	t.Helper()
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	reads, code := variables(t), source(t)
	return map[string]func(template) []string{
		"routes":      checkRoutes,
		"functions":   checkFunctions,
		"environment": func(t template) []string { return checkEnvironment(t, reads) },
		"roles":       checkRoles,
		"clock":       checkClock,
		"queues":      checkQueues,
		"tables":      checkTables,
		"alarms":      func(t template) []string { return checkAlarms(t, string(page)) },
		"metrics":     func(t template) []string { return checkMetrics(t, code) },
		"api":         checkAPI,
		"parameters":  checkParameters,
		"references":  checkReferences,
	}
}

// source is the code of all rooms and functions, without tests.
func source(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, root := range []string{"../shared", "."} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			code, err := os.ReadFile(name)
			all.Write(code)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

func TestTheTemplateIsWhatTheCodeNeeds(t *testing.T) {
	parsed := readTemplate(t)
	for name, check := range checks(t) {
		for _, problem := range check(parsed) {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

// TestNothingCanBeTakenOutOfTheTemplate removes every property and every item of every list, one at a time. Some
// check must notice, unless the list below says that it may be missing.
func TestNothingCanBeTakenOutOfTheTemplate(t *testing.T) {
	whole, all := map[string]any(readTemplate(t)), checks(t)
	missed := func() bool {
		for _, check := range all {
			if len(check(whole)) > 0 {
				return true
			}
		}
		return false
	}
	if missed() {
		t.Fatal("something is wrong before anything is taken out")
	}
	tried := 0
	for _, part := range []string{"Globals", "Parameters", "Resources"} {
		without(whole[part], []string{part}, func(path []string) {
			if mayBeMissing(path) {
				return
			}
			if tried++; !missed() {
				t.Errorf("%s was taken out, and no check missed it", strings.Join(path, "."))
			}
		})
	}
	if missed() || tried < 500 {
		t.Errorf("%d things were taken out and put back", tried)
	}
	t.Logf("%d things were taken out", tried)
}

// without calls visit once for everything in v, while that is removed.
func without(v any, path []string, visit func(path []string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			inner, here := v[key], append(slices.Clone(path), key)
			delete(v, key)
			visit(here)
			v[key] = inner
			if list, ok := inner.([]any); ok {
				for i := range list {
					v[key] = append(slices.Clone(list[:i]), list[i+1:]...)
					visit(append(slices.Clone(here), fmt.Sprint(i)))
				}
				v[key] = inner
			}
			without(inner, here, visit)
		}
	case []any:
		for i, inner := range v {
			without(inner, append(slices.Clone(path), fmt.Sprint(i)), visit)
		}
	}
}

// mayBeMissing lists what only people read, what has a good default, and what can be fewer.
func mayBeMissing(path []string) bool {
	switch last := path[len(path)-1]; last {
	case "Description", "AlarmDescription", "ConstraintDescription", "Default", "Label", "OKActions":
		return true
	case "MemorySize":
		return path[0] == "Resources" // what Globals says is enough
	}
	named := path[1]
	return named == "Dashboard" || named == "AlarmMail" || slices.Contains(path, "OKActions") ||
		named == "LogRetentionDays" && len(path) > 3
}
