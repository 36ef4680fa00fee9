package functions_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"github.com/mailtrail/mailtrail/shared/settings"
)

// checkEnvironment compares the variables of the template with those that the code reads, in both directions, and
// their values with the intended resources and parameters.
func checkEnvironment(t template, reads map[string][]string) []string {
	values := map[string]string{
		"TABLE_CONNECTIONS": "ConnectionsTable", "TABLE_BLOBS": "BlobsTable", "TABLE_EVENTS": "EventsTable",
		"TABLE_PEOPLE": "PeopleTable", "QUEUE_BLOBS": "BlobQueue",
		"QUEUE_MESSAGES": "MessageQueue", "MAILTRAIL_HASHES": "Hashes", "MAILTRAIL_HASH_LIMIT_MB": "HashLimitMb",
		"MAILTRAIL_ENRICH_MINUTES": "EnrichMinutes",
		"MAILTRAIL_LOOK_DAYS":      "LookDays",
		"MAILTRAIL_CHECK_SENDS":    "CheckSends",
		"MAILTRAIL_CLIENT_ID":      "ClientId",
		"MAILTRAIL_CREDENTIAL_ARN": "CredentialArn",
		"MAILTRAIL_PUBLISHER":      "Publisher",
		"MAILTRAIL_CLOUD":          "Cloud", "MAILTRAIL_RETENTION_DAYS": "RetentionDays", "MAILTRAIL_BASE_URL": "BaseUrl",
	}
	var problems []string
	for folder, f := range t.functions() {
		inTemplate, _ := at(f, "Environment", "Variables").(map[string]any)
		if got, want := slices.Sorted(maps.Keys(inTemplate)), reads[folder]; !slices.Equal(got, want) {
			problems = append(problems, fmt.Sprintf("%s reads %q, and the template sets %q", folder, want, got))
		}
		for name, value := range inTemplate {
			if !reflect.DeepEqual(value, ref(values[name])) {
				problems = append(problems, fmt.Sprintf("%s: %s is %v, want %s", folder, name, value, values[name]))
			}
		}
	}
	return problems
}

// variables lists the settings that the code of each function reads: those that its main passes to parts.Start, and
// the address of the API, which is optional.
func variables(t *testing.T) map[string][]string {
	t.Helper()
	names := constants(t)
	read := map[string][]string{}
	for folder := range served() {
		file, err := parser.ParseFile(token.NewFileSet(), folder+"/main.go", nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			selected, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch of, _ := selected.X.(*ast.Ident); {
			case of == nil:
			case of.Name == "settings" && names[selected.Sel.Name] != "":
				found[names[selected.Sel.Name]] = true
			case of.Name == "p" && selected.Sel.Name == "PerBase":
				found[settings.BaseURL] = true
			}
			return true
		})
		read[folder] = slices.Sorted(maps.Keys(found))
	}
	return read
}

// constants maps the constants of package settings to the names of settings that they stand for.
func constants(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../shared/settings/settings.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
			found[spec.Names[0].Name], _ = strconv.Unquote(literal.Value)
		}
		return true
	})
	return found
}
