package shared_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/mailtrail/mailtrail/"

// room is a folder of packages, what of ours it may import, and which modules of others.
type room struct {
	ours   []string
	others []string
}

// rooms lists every folder that holds Go code. Tests may import anything; their helpers under a room (tabletest) are
// rooms.
func rooms() map[string]room {
	contracts := []string{"shared/fault", "shared/pace", "shared/table", "shared/queue"}
	domain := func(more ...string) room { return room{ours: append(slices.Clone(contracts), more...)} }
	sim := []string{"sim/m365", "sim/m365/world", "sim/m365/company", "sim/m365/office"}
	all := slices.Concat(contracts, sim, []string{
		"shared/access", "shared/connection", "shared/audit", "shared/people", "shared/forensic", "shared/search",
		"shared/enrich", "shared/settings", "shared/doctor", "shared/embedded", "shared/m365",
		"local/machine", "local/operator", "local/logfile", "local/demo", "local/exported",
	})
	function := room{
		ours:   []string{"functions/parts", "shared/access", "shared/settings", "shared/trigger"},
		others: []string{"github.com/aws/aws-lambda-go"},
	}
	return map[string]room{
		"shared":                 {},
		"shared/fault":           {},
		"shared/table":           {},
		"shared/pace":            {},
		"shared/queue":           {ours: []string{"shared/fault", "shared/pace"}},
		"shared/table/tabletest": domain(),
		"shared/queue/queuetest": domain(),
		"shared/access":          domain(),
		"shared/openapi":         domain("shared/access"),
		"shared/dead":            domain("shared/access"),
		"shared/connection":      domain("shared/access"),
		"shared/audit":           domain("shared/connection"),
		"shared/people":          domain("shared/access", "shared/connection"),
		"shared/forensic":        domain("shared/connection", "shared/audit", "shared/people"),
		"shared/segment":         {ours: contracts, others: []string{"github.com/klauspost/compress"}},
		"shared/search": domain("shared/segment", "shared/access", "shared/connection", "shared/audit",
			"shared/forensic"),
		"shared/enrich": domain("shared/access", "shared/connection", "shared/audit", "shared/forensic"),
		"shared/doctor": domain("shared/connection", "shared/audit", "shared/people", "shared/forensic",
			"shared/enrich"),
		"shared/settings": {ours: []string{"shared/connection", "shared/enrich"}},
		"shared/agents": domain("shared/access", "shared/dead", "shared/connection", "shared/audit",
			"shared/people", "shared/forensic", "shared/enrich", "shared/search", "shared/openapi", "shared/settings"),
		"shared/embedded": {ours: contracts, others: []string{"github.com/cockroachdb/pebble/v2"}},
		"shared/dynamo": {ours: contracts,
			others: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go"}},
		"shared/sqs": {ours: contracts,
			others: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go"}},
		"shared/m365": {ours: append(slices.Clone(contracts), "shared/connection", "shared/audit",
			"shared/people", "shared/forensic", "shared/enrich", "shared/doctor"),
			others: []string{"golang.org/x/oauth2", "golang.org/x/time", "github.com/coreos/go-oidc/v3",
				"github.com/go-jose/go-jose/v4"}},
		"shared/trigger": {ours: []string{"shared/access", "shared/fault", "shared/queue"},
			others: []string{"github.com/aws/aws-lambda-go"}},
		"functions/parts": {
			ours: []string{"shared/table", "shared/queue", "shared/dynamo", "shared/sqs", "shared/m365", "shared/trigger",
				"shared/access", "shared/connection", "shared/agents", "shared/settings"},
			others: []string{"github.com/aws/aws-lambda-go", "github.com/aws/aws-sdk-go-v2", "golang.org/x/time"},
		},
		"functions/consent":     function,
		"functions/connections": function,
		"functions/poll":        function,
		"functions/ingest":      function,
		"functions/enrich":      function,
		"functions/census":      function,
		"functions/search":      function,
		"sim/lambda":            {},
		"local":                 {ours: all, others: []string{"github.com/spf13/cobra"}},
		"local/logfile":         {},
		"local/operator": {ours: []string{"shared/access", "shared/agents", "shared/connection", "shared/dead",
			"shared/embedded"}},
		"local/machine": {ours: append(slices.Clone(contracts), "local/operator", "shared/access", "shared/dead",
			"shared/connection", "shared/enrich", "shared/search", "shared/settings", "shared/agents", "shared/embedded",
			"shared/m365")},
		"sim/browser": {others: []string{"golang.org/x/net"}},
		"local/demo": {ours: append(slices.Clone(sim), "sim/browser", "local/exported", "shared/connection",
			"shared/m365")},
		"proof/story": {ours: append(slices.Clone(sim), "sim/browser", "sim/lambda"),
			others: []string{"github.com/aws/aws-sdk-go-v2", "gopkg.in/yaml.v3"}},
		"tools/entra":       {ours: []string{"shared/connection", "shared/m365"}},
		"local/exported":    {ours: []string{"shared/fault", "sim/m365/world"}},
		"proof/bench":       {ours: append(slices.Clone(all), "sim/lambda")},
		"proof/keep":        {},
		"proof/bench/empty": {others: []string{"github.com/aws/aws-lambda-go"}},
		"sim/m365":          {ours: []string{"sim/m365/world"}},
		"sim/m365/world":    {},
		"sim/m365/company":  {ours: []string{"sim/m365/world"}},
		"sim/m365/office":   {ours: []string{"sim/m365", "sim/m365/world", "sim/m365/company"}},
		"sim/m365/cmd":      {ours: sim},
	}
}

func TestEachRoomImportsOnlyWhatItMay(t *testing.T) {
	known := rooms()
	seen := map[string]bool{}
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() && (base == "testdata" || name != ".." && strings.HasPrefix(base, ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		here, err := filepath.Rel("..", filepath.Dir(name))
		if err != nil {
			return err
		}
		here = filepath.ToSlash(here)
		r, ok := known[here]
		if !ok {
			t.Errorf("%s: folder %q is no room that this test knows", name, here)
			return nil
		}
		seen[here] = true
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !r.may(imported) {
				t.Errorf("%s imports %s", name, imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range known {
		if !seen[name] {
			t.Errorf("room %q holds no code", name)
		}
	}
}

// may reports whether the room may import a package. The standard library is always allowed.
func (r room) may(imported string) bool {
	if ours, ok := strings.CutPrefix(imported, module); ok {
		return slices.Contains(r.ours, ours)
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return true
	}
	return slices.ContainsFunc(r.others, func(m string) bool {
		return imported == m || strings.HasPrefix(imported, m+"/") || path.Dir(imported) == m
	})
}

// TestTheTourNamesEveryRoom holds doc.go to the rooms that there are.
func TestTheTourNamesEveryRoom(t *testing.T) {
	tour, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for name := range rooms() {
		room, ok := strings.CutPrefix(name, "shared/")
		if !ok || strings.Contains(room, "/") {
			continue
		}
		if !regexp.MustCompile(`(?m)^//   - (.* )?` + room + ` `).Match(tour) {
			t.Errorf("doc.go does not say what %s is for", name)
		}
	}
}
