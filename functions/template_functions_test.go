package functions_test

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/agents"
)

// served lists the routes that the code of each function answers.
func served() map[string][]access.Route {
	all := agents.New(agents.Surroundings{})
	return map[string][]access.Route{
		"consent":     all.ConsentRoutes(),
		"connections": all.AdminRoutes(""),
		"census":      nil,
		"search":      all.SearchRoutes(),
		"poll":        nil,
		"ingest":      nil,
		"enrich":      nil,
	}
}

// public lists all routes that need no token.
func public() []string {
	return []string{
		"GET /consent/begin", "GET /consent/callback", "GET /consent/style.css", "GET /v1/openapi.json",
		"POST /consent/begin", "POST /v1/oauth",
	}
}

// checkRoutes compares the routes of the template with those of the code, in both directions, and the public ones
// with the list.
func checkRoutes(t template) []string {
	var problems, open []string
	templates := t.functions()
	for folder, routes := range served() {
		var inCode, inTemplate []string
		for _, r := range routes {
			inCode = append(inCode, r.Pattern)
			if r.Public {
				open = append(open, r.Pattern)
			}
		}
		events, _ := templates[folder]["Events"].(map[string]any)
		for name, e := range events {
			if at(e, "Type") != "HttpApi" {
				continue
			}
			inTemplate = append(inTemplate, fmt.Sprint(at(e, "Properties", "Method"), " ", at(e, "Properties", "Path")))
			if refers(at(e, "Properties", "ApiId")) != "Api" {
				problems = append(problems, fmt.Sprintf("route %s of %s is of another API, without our throttling", name, folder))
			}
		}
		slices.Sort(inCode)
		slices.Sort(inTemplate)
		if !slices.Equal(inCode, inTemplate) {
			problems = append(problems, fmt.Sprintf("%s answers %q, and the template has %q", folder, inCode, inTemplate))
		}
	}
	if slices.Sort(open); !slices.Equal(open, public()) {
		problems = append(problems, fmt.Sprintf("these routes need no token: %q", open))
	}
	return problems
}

// checkFunctions checks how SAM builds each function, what it runs on, which role it has, and where it logs.
func checkFunctions(t template) []string {
	var problems []string
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	all, _ := t["Resources"].(map[string]any)
	roles, logs, templates := map[string]bool{}, t.resources("AWS::Logs::LogGroup"), t.functions()
	if got, want := slices.Sorted(maps.Keys(templates)), slices.Sorted(maps.Keys(served())); !slices.Equal(got, want) {
		say("the functions are %q, want %q", got, want)
	}
	for folder, f := range templates {
		for key, want := range map[string]any{
			"Runtime": "provided.al2023", "Handler": "bootstrap", "Architectures": []any{"arm64"},
			"CodeUri": "functions/" + folder + "/",
		} {
			if !reflect.DeepEqual(f[key], want) {
				say("%s: %s is %v, want %v", folder, key, f[key], want)
			}
		}
		if _, err := os.Stat("../" + fmt.Sprint(f["CodeUri"])); err != nil {
			say("%s: its code is not there", folder)
		}
		if at(all[logical(folder)], "Metadata", "BuildMethod") != "go1.x" {
			say("%s: SAM does not know how to build it", folder)
		}
		// The API waits for 30 s. A function that Microsoft may delay by a minute needs more time.
		timeout, serves := number(f["Timeout"]), len(served()[folder]) > 0
		if timeout == 0 || serves && timeout >= 30 || !serves && timeout <= 60 || number(f["MemorySize"]) == 0 {
			say("%s: a timeout of %d s, or no memory size", folder, timeout)
		}
		if f["Policies"] != nil {
			say("%s: SAM would make a role of policies that are not written down", folder)
		}
		role := refers(f["Role"])
		if roles[role] || t.resources("AWS::IAM::Role")[role] == nil {
			say("%s: role %q is missing, or another function's", folder, role)
		}
		roles[role] = true
		if at(f, "LoggingConfig", "LogFormat") != "JSON" || logs[refers(at(f, "LoggingConfig", "LogGroup"))] == nil {
			say("%s: it does not log as JSON to a log group of the template", folder)
		}
	}
	for name, l := range logs {
		kept := at(all[name], "DeletionPolicy") == "Delete" && at(all[name], "UpdateReplacePolicy") == "Delete"
		if refers(l["RetentionInDays"]) != "LogRetentionDays" || at(l, "LogGroupName", "Sub") == nil || !kept {
			say("log group %s has no name, no end, or does not go with the stack", name)
		}
	}
	return problems
}

// needs lists the calls that the code of each function makes on each resource. The DynamoDB adapter turns Commit into
// PutItem, DeleteItem and ConditionCheckItem, Load into BatchWriteItem, Create into PutItem, and GetMany into
// BatchGetItem.
func needs() map[string]map[string][]string {
	const get, many, query = "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"
	const (
		put    = "dynamodb:PutItem"
		load   = "dynamodb:BatchWriteItem"
		check  = "dynamodb:ConditionCheckItem"
		remove = "dynamodb:DeleteItem"
	)
	credential, send := []string{"secretsmanager:GetSecretValue"}, []string{"sqs:SendMessage"}
	receive := []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"}
	return map[string]map[string][]string{
		"consent": {"CredentialArn": credential, "ConnectionsTable": {get, put, remove}},
		"connections": {"ConnectionsTable": {get, query, put, remove}, "BlobsTable": {get, query},
			"PeopleTable": {get, many, query, put, load}},
		"census": {
			"CredentialArn": credential, "ConnectionsTable": {get, query, put}, "PeopleTable": {get, many, query, put, load,
				remove}, "MissedTicks": send,
		},
		"poll": {
			"CredentialArn": credential, "ConnectionsTable": {get, query, put, remove}, "BlobsTable": {get, many, query, put,
				check, remove},
			"EventsTable": {get, many, query, load, remove}, "PeopleTable": {query, remove},
			"BlobQueue": send, "MessageQueue": send, "MissedTicks": send,
		},
		"ingest": {
			"CredentialArn": credential, "ConnectionsTable": {get}, "BlobsTable": {get, put, check, remove,
				load}, "EventsTable": {many, load, put, remove},
			"PeopleTable": {get, many, load},
			"BlobQueue":   receive, "MessageQueue": send,
		},
		"enrich": {
			"CredentialArn": credential, "ConnectionsTable": {get}, "BlobsTable": {get, query, put},
			"EventsTable": {get, many, query, load, put,
				remove}, "PeopleTable": {many, query},
			"MessageQueue": receive,
		},
		"search": {"ConnectionsTable": {get, query, put}, "BlobsTable": {get, query}, "EventsTable": {get, many, query},
			"PeopleTable": {query}},
	}
}

// checkRoles compares each role with what its function needs: it allows every verb that is needed, and no other.
func checkRoles(t template) []string {
	var problems []string
	roles := t.resources("AWS::IAM::Role")
	for folder, f := range t.functions() {
		name := refers(f["Role"])
		want := maps.Clone(needs()[folder])
		if want == nil {
			continue
		}
		want[refers(at(f, "LoggingConfig", "LogGroup"))] = []string{"logs:CreateLogStream", "logs:PutLogEvents"}
		problems = append(problems, grants(name, roles[name], "lambda.amazonaws.com", nil, want)...)
	}
	tick := map[string][]string{"PollFunction": {"lambda:InvokeFunction"}, "CensusFunction": {"lambda:InvokeFunction"},
		"MissedTicks": {"sqs:SendMessage"}}
	only := map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": ref("AWS::AccountId")}}
	return append(problems, grants("TickRole", roles["TickRole"], "scheduler.amazonaws.com", only, tick)...)
}

// grants says how a role deviates from the rule: only one service may assume it, and it grants exactly what is
// wanted, in named statements without wildcards or negations.
func grants(name string, role map[string]any, service string, only any, want map[string][]string) []string {
	var problems []string
	say := func(format string, args ...any) { problems = append(problems, name+": "+fmt.Sprintf(format, args...)) }
	for _, s := range items(at(role, "AssumeRolePolicyDocument", "Statement")) {
		whom := reflect.DeepEqual(at(s, "Principal"), map[string]any{"Service": service}) &&
			reflect.DeepEqual(at(s, "Condition"), only)
		if !whom || at(s, "Action") != "sts:AssumeRole" || at(s, "Effect") != "Allow" || at(s, "Sid") == nil {
			say("it is not assumed by %s alone", service)
		}
	}
	if len(items(at(role, "AssumeRolePolicyDocument", "Statement"))) != 1 ||
		at(role, "AssumeRolePolicyDocument", "Version") != "2012-10-17" {
		say("nobody, or too many, can assume it")
	}
	if role["ManagedPolicyArns"] != nil {
		say("it has policies that are not written down")
	}
	got, sids := map[string][]string{}, map[any]bool{nil: true}
	for _, p := range items(role["Policies"]) {
		if at(p, "PolicyName") == nil || at(p, "PolicyDocument", "Version") != "2012-10-17" {
			say("a policy has no name or no version")
		}
		for _, s := range items(at(p, "PolicyDocument", "Statement")) {
			resource := refers(at(s, "Resource"))
			if sids[at(s, "Sid")] || at(s, "Effect") != "Allow" || resource == "" {
				say("a statement has no name of its own, no effect, or no single resource: %v", s)
			}
			sids[at(s, "Sid")] = true
			for _, a := range items(at(s, "Action")) {
				got[resource] = append(got[resource], fmt.Sprint(a))
			}
		}
	}
	for _, resource := range slices.Sorted(maps.Keys(merge(got, want))) {
		has, needs := slices.Sorted(slices.Values(got[resource])), slices.Sorted(slices.Values(want[resource]))
		if !slices.Equal(has, needs) || strings.Contains(strings.Join(has, " "), "*") {
			say("on %s it may %q, and needs %q", resource, has, needs)
		}
	}
	return problems
}

func merge(a, b map[string][]string) map[string][]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
