package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// small is a template as the story reads them: two functions, of which one is fed by a queue and one by a schedule
// and a route.
const small = `
Parameters:
  Name: { Type: String }
  Days: { Type: Number, Default: 90 }
  Base: { Type: String, Default: "" }
Resources:
  Things: { Type: AWS::DynamoDB::Table, Properties: {} }
  Work: { Type: AWS::SQS::Queue, Properties: {} }
  Dead: { Type: AWS::SQS::Queue, Properties: {} }
  ReadRole:
    Type: AWS::IAM::Role
    Properties:
      Policies:
        - PolicyName: read
          PolicyDocument:
            Statement:
              - { Sid: Read, Effect: Allow, Action: [dynamodb:GetItem, dynamodb:Query], Resource: !GetAtt Things.Arn }
              - { Sid: Take, Effect: Allow, Action: [sqs:ReceiveMessage, sqs:DeleteMessage, sqs:GetQueueAttributes],
                  Resource: !GetAtt Work.Arn }
  TickRole:
    Type: AWS::IAM::Role
    Properties:
      Policies:
        - PolicyName: tick
          PolicyDocument:
            Statement:
              - { Sid: Invoke, Effect: Allow, Action: lambda:InvokeFunction, Resource: !GetAtt Clock.Arn }
              - { Sid: Bury, Effect: Allow, Action: sqs:SendMessage, Resource: !GetAtt Dead.Arn }
  Reader:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/reader/
      Role: !GetAtt ReadRole.Arn
      Environment: { Variables: { TABLE: !Ref Things, DAYS: !Ref Days, BASE: !Ref Base } }
      Events:
        Work:
          Type: SQS
          Properties: { Queue: !GetAtt Work.Arn, BatchSize: 5, FunctionResponseTypes: [ReportBatchItemFailures],
                        ScalingConfig: { MaximumConcurrency: 3 } }
  Clock:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/clock/
      Role: !GetAtt ReadRole.Arn
      Events:
        Tick:
          Type: ScheduleV2
          Properties: { RoleArn: !GetAtt TickRole.Arn, DeadLetterConfig: { Arn: !GetAtt Dead.Arn },
                        Input: '{"time":"<aws.scheduler.scheduled-time>"}' }
        Get:
          Type: HttpApi
          Properties: { Method: get, Path: "/things/{id}" }
`

// parsed is a template from text; change is pairs of old and new text.
func parsed(t *testing.T, text string, change ...string) *template {
	t.Helper()
	for i := 0; i < len(change); i += 2 {
		if !strings.Contains(text, change[i]) {
			t.Fatalf("the template has no %q", change[i])
		}
	}
	name := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(name, []byte(strings.NewReplacer(change...).Replace(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	read, err := readTemplate(name)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestShortFormsOfFunctionsAreWrittenOut(t *testing.T) {
	tmpl := parsed(t, "Resources:\n  A: { Type: T, Properties: { R: !Ref X, G: !GetAtt X.Arn, L: [!Sub \"${X}-b\", "+
		"3, true], N: { O: !If [C, !Ref Y, \"\"] } } }\n")
	p := tmpl.Resources["A"].Properties
	if reference(p["R"]) != "X" || reference(p["G"]) != "X.Arn" {
		t.Errorf("R is %v, G is %v", p["R"], p["G"])
	}
	l := list(p["L"])
	if at(l[0], "Fn::Sub") != "${X}-b" || l[1] != float64(3) || l[2] != true {
		t.Errorf("L is %v", l)
	}
	if branches := list(at(p, "N", "O", "Fn::If")); len(branches) != 3 || reference(branches[1]) != "Y" {
		t.Errorf("N is %v", p["N"])
	}
}

func TestValuesAreResolvedOrRefused(t *testing.T) {
	known := values{"Queue": "url", "Queue.Arn": "arn"}
	for _, c := range []struct {
		value any
		want  string
		says  string // of the error
	}{
		{"text", "text", ""},
		{float64(0.5), "0.5", ""},
		{float64(1209600), "1209600", ""},
		{true, "true", ""},
		{map[string]any{"Ref": "Queue"}, "url", ""},
		{map[string]any{"Fn::GetAtt": "Queue.Arn"}, "arn", ""},
		{map[string]any{"Fn::GetAtt": []any{"Queue", "Arn"}}, "arn", ""},
		{map[string]any{"Ref": "Nothing"}, "", "nothing is known of Nothing"},
		{map[string]any{"Fn::Sub": "${Queue}"}, "", "Fn::Sub is no function"},
		{map[string]any{"a": 1, "b": 2}, "", "nothing that can be resolved"},
		{nil, "", "nothing that can be resolved"},
	} {
		got, err := known.resolve(c.value)
		if got != c.want || (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %q, %v", c.value, got, err)
		}
	}
}

func TestParametersHaveValuesOrAreNamed(t *testing.T) {
	tmpl := parsed(t, small)
	if _, err := tmpl.parameters(nil); err == nil || !strings.Contains(err.Error(), "parameter Name has no value") {
		t.Errorf("%v", err)
	}
	known, err := tmpl.parameters(values{"Name": "n", "Base": "b"})
	if err != nil || !maps.Equal(known, values{"Name": "n", "Days": "90", "Base": "b"}) {
		t.Errorf("%v, %v", known, err)
	}
}

func TestEnvironmentsAreThoseOfTheTemplate(t *testing.T) {
	tmpl := parsed(t, small)
	env, err := environment(tmpl, "Reader", values{"Things": "stack-Things", "Days": "90", "Base": ""})
	if err != nil || !maps.Equal(env, map[string]string{"TABLE": "stack-Things", "DAYS": "90", "BASE": ""}) {
		t.Errorf("%v, %v", env, err)
	}
	if _, err := environment(tmpl, "Reader", values{}); err == nil || !strings.Contains(err.Error(), "variable") {
		t.Errorf("%v", err)
	}
	if env, err := environment(tmpl, "Clock", values{}); err != nil || len(env) != 0 {
		t.Errorf("%v, %v", env, err)
	}
}

func TestRoutesAreThoseOfTheTemplate(t *testing.T) {
	all, err := parsed(t, small).routes()
	if err != nil || !slices.Equal(all, []route{{"GET", "/things/{id}", "Clock"}}) {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := parsed(t, small, `Path: "/things/{id}"`, "Paths: 1").routes(); err == nil ||
		!strings.Contains(err.Error(), "event Get of Clock: Path") {
		t.Errorf("%v", err)
	}
}

func TestWhatIsTakenOutOfACopyIsStillInTheTemplate(t *testing.T) {
	tmpl := parsed(t, small)
	less, err := tmpl.clone()
	if err != nil {
		t.Fatal(err)
	}
	for _, take := range []error{
		dropStatement(less, "ReadRole", "Read"), drop(less, "TABLE", "Reader", "Environment", "Variables"),
		drop(less, "Tick", "Clock", "Events"),
	} {
		if take != nil {
			t.Error(take)
		}
	}
	for _, take := range []error{dropStatement(less, "ReadRole", "Read"), drop(less, "Tick", "Clock", "Events"),
		drop(less, "A", "Clock", "Nowhere")} {
		if take == nil {
			t.Error("what is not there was taken")
		}
	}
	all, err := readPolicy(less)
	if err != nil || len(all) != 5 || len(less.events("ScheduleV2")) != 0 {
		t.Errorf("%v, %v, schedules %v", all, err, less.events("ScheduleV2"))
	}
	if all, err := readPolicy(tmpl); err != nil || len(all) != 7 || len(tmpl.events("ScheduleV2")) != 1 {
		t.Errorf("the template itself has changed: %v, %v", all, err)
	}
}

// TestTheStoryReadsTheRealTemplate compares the names in the story's code with the template.
func TestTheStoryReadsTheRealTemplate(t *testing.T) {
	tmpl, err := readTemplate(filepath.Join("..", "..", "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := readPolicy(tmpl)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range storm().endings {
		if tmpl.Resources[e.function] == nil {
			t.Errorf("the storm ends processes of %s, which is no function of the template", e.function)
		}
	}
	known, err := tmpl.parameters(values{"ClientId": clientID, "CredentialArn": secretARN, "Publisher": publisher})
	if err != nil || known["Cloud"] != "commercial" {
		t.Errorf("%v, %v", known, err)
	}
	for _, id := range tmpl.named(typeFunction) {
		role := strings.TrimSuffix(reference(tmpl.Resources[id].Properties["Role"]), ".Arn")
		group := reference(at(tmpl.Resources[id].Properties, "LoggingConfig", "LogGroup"))
		if _, ok := all[act{role, "logs:PutLogEvents", group}]; !ok {
			t.Errorf("%s may not write its log %q", id, group)
		}
	}
	if _, ok := all[act{"PollRole", "sqs:SendMessage", "BlobQueue"}]; !ok {
		t.Errorf("poll may send nothing: %v", all)
	}
	for a, why := range excuses() {
		if _, ok := all[a]; !ok || why == "" {
			t.Errorf("%s is excused (%s), and not allowed", a, why)
		}
	}
}
