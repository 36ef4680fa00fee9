package functions_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/mailtrail/mailtrail/shared/agents"
	"github.com/mailtrail/mailtrail/shared/enrich"
	"github.com/mailtrail/mailtrail/shared/m365"
)

// checkClock checks that a tick has the form that package trigger reads, that it is not retried, and that a failed
// one is kept.
func checkClock(t template) []string {
	var problems []string
	for folder, rate := range map[string]any{"poll": ref("PollRate"), "census": "rate(5 minutes)"} {
		problems = append(problems, checkTicks(folder, t.functions()[folder], rate)...)
	}
	return problems
}

// checkTicks is checkClock for one function.
func checkTicks(folder string, f map[string]any, rate any) []string {
	var problems []string
	once := map[string]any{"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
	kept := map[string]any{"GetAtt": "MissedTicks.Arn"}
	ticks := 0
	events, _ := f["Events"].(map[string]any)
	for name, e := range events {
		want := map[string]any{
			"ScheduleExpression": rate, "OmitName": true, "FlexibleTimeWindow": map[string]any{"Mode": "OFF"},
			"RoleArn": map[string]any{"GetAtt": "TickRole.Arn"}, "RetryPolicy": once,
			"DeadLetterConfig": map[string]any{"Arn": kept},
			"Input":            `{"time":"<aws.scheduler.scheduled-time>","shard":0,"shards":1}`,
		}
		got, _ := at(e, "Properties").(map[string]any)
		for key, value := range want {
			if !reflect.DeepEqual(got[key], value) {
				problems = append(problems, fmt.Sprintf("schedule %s of %s: %s is %v, want %v", name, folder, key, got[key], value))
			}
		}
		if at(e, "Type") == "ScheduleV2" {
			ticks++
		}
	}
	if ticks != 1 || !reflect.DeepEqual(f["EventInvokeConfig"], once) {
		problems = append(problems, folder+" has not one schedule, or its ticks are tried again")
	}
	if !reflect.DeepEqual(f["DeadLetterQueue"], map[string]any{"Type": "SQS", "TargetArn": kept}) {
		problems = append(problems, "ticks of "+folder+" that ended in an error are kept nowhere")
	}
	return problems
}

// checkQueues checks that a queued message is hidden for as long as Lambda may work on it, and that failed ones go to
// the dead letters.
func checkQueues(t template) []string {
	var problems []string
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	const day = 24 * 60 * 60
	queues := t.resources("AWS::SQS::Queue")
	for _, c := range []struct {
		function, event, queue, dead, concurrency string
		receives, days                            int
	}{
		{"ingest", "Blobs", "BlobQueue", "BlobsDead", "IngestConcurrency", agents.BlobReceives, 7},
		{"enrich", "Messages", "MessageQueue", "MessagesDead", "EnrichConcurrency", agents.MessageReceives, 4},
	} {
		f := t.functions()[c.function]
		want := map[string]any{
			"Queue": map[string]any{"GetAtt": c.queue + ".Arn"}, "BatchSize": 10,
			"FunctionResponseTypes": []any{"ReportBatchItemFailures"},
			"ScalingConfig":         map[string]any{"MaximumConcurrency": ref(c.concurrency)},
		}
		if e := at(f, "Events", c.event); at(e, "Type") != "SQS" || !reflect.DeepEqual(at(e, "Properties"), want) {
			say("%s does not take its work off %s as it should: %v", c.function, c.queue, e)
		}
		q := queues[c.queue]
		if number(q["VisibilityTimeout"]) < 6*number(f["Timeout"]) {
			say("what is in %s is hidden for less than 6 times the timeout of %s", c.queue, c.function)
		}
		redrive := map[string]any{"deadLetterTargetArn": map[string]any{"GetAtt": c.dead + ".Arn"},
			"maxReceiveCount": c.receives}
		if !reflect.DeepEqual(q["RedrivePolicy"], redrive) {
			say("what fails in %s does not end among the dead letters", c.queue)
		}
		if number(q["MessageRetentionPeriod"]) != c.days*day || number(queues[c.dead]["MessageRetentionPeriod"]) != 14*day {
			say("what is in %s is not kept as long as it is of use", c.queue)
		}
	}
	if number(queues["MissedTicks"]["MessageRetentionPeriod"]) != day {
		say("missed ticks are not kept as long as they are of use")
	}
	all, _ := t["Resources"].(map[string]any)
	for name, q := range queues {
		if q["SqsManagedSseEnabled"] != true || at(all[name], "DeletionPolicy") != "Delete" ||
			at(all[name], "UpdateReplacePolicy") != "Delete" {
			say("queue %s is not encrypted, or does not go with the stack", name)
		}
	}
	return problems
}

// checkTables checks that each table has the keys of package table, and that its data cannot be lost by accident.
func checkTables(t template) []string {
	var problems []string
	want := map[string]any{
		"BillingMode": "PAY_PER_REQUEST", "DeletionProtectionEnabled": true,
		"AttributeDefinitions": []any{
			map[string]any{"AttributeName": "pk", "AttributeType": "S"}, map[string]any{"AttributeName": "sk",
				"AttributeType": "S"},
		},
		"KeySchema": []any{
			map[string]any{"AttributeName": "pk", "KeyType": "HASH"}, map[string]any{"AttributeName": "sk", "KeyType": "RANGE"},
		},
		"TimeToLiveSpecification":          map[string]any{"AttributeName": "ttl", "Enabled": true},
		"PointInTimeRecoverySpecification": map[string]any{"PointInTimeRecoveryEnabled": true},
		"SSESpecification":                 map[string]any{"SSEEnabled": true},
	}
	all, _ := t["Resources"].(map[string]any)
	for _, name := range []string{"ConnectionsTable", "BlobsTable", "EventsTable", "PeopleTable"} {
		r := all[name]
		if at(r, "Type") != "AWS::DynamoDB::Table" || !reflect.DeepEqual(at(r, "Properties"), want) {
			problems = append(problems, fmt.Sprintf("table %s is %v, want %v", name, at(r, "Properties"), want))
		}
		if at(r, "DeletionPolicy") != "Retain" || at(r, "UpdateReplacePolicy") != "Retain" {
			problems = append(problems, fmt.Sprintf("table %s would go with the stack", name))
		}
	}
	return problems
}

// checkAlarms checks that there is an alarm for the errors and throttles of every function, for every dead letter and
// for every metric of ours, and that each alarm notifies somebody.
func checkAlarms(t template, page string) []string {
	var problems []string
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	rings := map[string]bool{}
	for name, a := range t.resources("AWS::CloudWatch::Alarm") {
		for _, key := range []string{"EvaluationPeriods", "ComparisonOperator", "Threshold", "TreatMissingData"} {
			if a[key] == nil {
				say("alarm %s has no %s", name, key)
			}
		}
		if periods := a["EvaluationPeriods"]; number(periods) == 0 && refers(periods) != "QuietMinutes" {
			say("alarm %s waits for no time", name)
		}
		if !reflect.DeepEqual(a["AlarmActions"], []any{ref("AlarmTopic")}) {
			say("nobody hears alarm %s", name)
		}
		if !strings.Contains(page, "`"+name+"`") {
			say("docs/operations.md does not say what to do about %s", name)
		}
		metrics := items(a["Metrics"])
		if len(metrics) == 0 {
			if a["Statistic"] == nil || a["Period"] == nil {
				say("alarm %s has no statistic or no period", name)
			}
			rings[measured(a)] = true
			continue
		}
		sum := fmt.Sprint(at(metrics[0], "Expression"))
		for _, m := range metrics[1:] {
			stat := at(m, "MetricStat")
			if at(stat, "Stat") != "Sum" || at(stat, "Period") == nil || at(m, "ReturnData") != false ||
				!strings.Contains(sum, fmt.Sprintf("FILL(%v,0)", at(m, "Id"))) {
				say("alarm %s does not add up all of its metrics", name)
			}
			rings[measured(at(stat, "Metric"))] = true
		}
		if at(metrics[0], "Id") == nil || at(metrics[0], "ReturnData") != nil ||
			len(metrics) != 1+strings.Count(sum, "FILL(") {
			say("alarm %s does not add up all of its metrics", name)
		}
	}
	want := []string{
		"AWS/SQS ApproximateNumberOfMessagesVisible BlobsDead", "AWS/SQS ApproximateAgeOfOldestMessage BlobQueue",
		"AWS/SQS ApproximateNumberOfMessagesVisible MessagesDead", "AWS/SQS ApproximateAgeOfOldestMessage MessageQueue",
		"AWS/SQS NumberOfMessagesSent MissedTicks", "AWS/ApiGateway 5xx Api",
	}
	for folder := range t.functions() {
		want = append(want, "AWS/Lambda Errors "+logical(folder), "AWS/Lambda Throttles "+logical(folder))
	}
	for _, metric := range []string{"Polls", "ConnectionsFailed", "Gaps", "BlobsLost", "ConnectionErrors", "OwnFaults",
		"CensusOverdue"} {
		want = append(want, "Mailtrail/${AWS::StackName} "+metric)
	}
	for _, w := range want {
		if !rings[w] {
			say("no alarm rings for %s", w)
		}
	}
	speak := map[string]any{
		"Sid": "AlarmsOfThisAccountPublish", "Effect": "Allow",
		"Principal": map[string]any{"Service": "cloudwatch.amazonaws.com"},
		"Action":    "sns:Publish", "Resource": ref("AlarmTopic"),
		"Condition": map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": ref("AWS::AccountId")}},
	}
	policy := t.resources("AWS::SNS::TopicPolicy")["AlarmTopicPolicy"]
	document := map[string]any{"Version": "2012-10-17", "Statement": []any{speak}}
	if !reflect.DeepEqual(policy["PolicyDocument"], document) ||
		!reflect.DeepEqual(policy["Topics"], []any{ref("AlarmTopic")}) {
		say("alarms may not speak on the topic, or others may")
	}
	return problems
}

// measured names a metric by its namespace, its name, and its dimensions.
func measured(m any) string {
	space := at(m, "Namespace")
	if sub := at(space, "Sub"); sub != nil {
		space = sub
	}
	name := fmt.Sprint(space, " ", at(m, "MetricName"))
	kinds := map[any]string{"AWS/SQS": "QueueName", "AWS/Lambda": "FunctionName", "AWS/ApiGateway": "ApiId"}
	for _, d := range items(at(m, "Dimensions")) {
		if at(d, "Name") == kinds[space] {
			name += " " + refers(at(d, "Value"))
		}
	}
	return name
}

// checkMetrics checks that each metric filter matches a line that the code really writes: the text that it looks for
// occurs in the code of a room or a function.
func checkMetrics(t template, code string) []string {
	var problems []string
	counted := map[string]string{}
	for name, f := range t.resources("AWS::Logs::MetricFilter") {
		pattern, _ := f["FilterPattern"].(string)
		_, rest, _ := strings.Cut(pattern, `$.msg = "`)
		text, _, _ := strings.Cut(rest, `"`)
		if text == "" || !strings.Contains(code, `"`+strings.TrimSuffix(text, "*")) {
			problems = append(problems, fmt.Sprintf("filter %s waits for %q, which no code writes", name, text))
		}
		for _, m := range items(f["MetricTransformations"]) {
			if at(m, "MetricNamespace", "Sub") == "Mailtrail/${AWS::StackName}" {
				counted[refers(f["LogGroupName"])+" "+fmt.Sprint(at(m, "MetricName"))] = fmt.Sprint(at(m, "MetricValue"))
			}
		}
	}
	want := map[string]string{
		"PollLog Polls": "1", "PollLog ConnectionsPolled": "$.connections", "PollLog ConnectionsFailed": "$.failed",
		"PollLog BlobsQueued": "$.queued",
		"PollLog Gaps":        "1", "PollLog ConnectionErrors": "1", "PollLog OwnFaults": "1", "IngestLog BlobsLost": "1",
		"CensusLog CensusOverdue": "1", "CensusLog ConnectionErrors": "1",
	}
	if !reflect.DeepEqual(counted, want) {
		problems = append(problems, fmt.Sprintf("counted are %v, want %v", counted, want))
	}
	return problems
}

// checkAPI checks that the API limits requests, logs the caller, and never logs a query string, because that can
// contain links and codes.
func checkAPI(t template) []string {
	var problems []string
	api := t.resources("AWS::Serverless::HttpApi")["Api"]
	usual := map[string]any{"ThrottlingRateLimit": ref("RequestRate"), "ThrottlingBurstLimit": ref("RequestBurst"),
		"DetailedMetricsEnabled": true}
	login := map[string]any{"POST /v1/oauth": map[string]any{"ThrottlingRateLimit": 10, "ThrottlingBurstLimit": 20,
		"DetailedMetricsEnabled": true}}
	if !reflect.DeepEqual(api["DefaultRouteSettings"], usual) || !reflect.DeepEqual(api["RouteSettings"], login) {
		problems = append(problems, "requests are not bounded")
	}
	format, _ := at(api, "AccessLogSettings", "Format").(string)
	if refers(at(api, "AccessLogSettings", "DestinationArn")) != "ApiLog" ||
		!strings.Contains(format, "$context.identity.sourceIp") {
		problems = append(problems, "nobody knows who came")
	}
	for _, secret := range []string{"queryString", "$context.path", "authorization", "header"} {
		if strings.Contains(format, secret) {
			problems = append(problems, "the access log holds "+secret)
		}
	}
	return problems
}

// checkParameters checks that each parameter has a description, bounds, and a place in the form that is filled in to
// deploy.
func checkParameters(t template) []string {
	var problems []string
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	form := at(map[string]any(t), "Metadata", "AWS::CloudFormation::Interface")
	var asked []any
	for _, group := range items(at(form, "ParameterGroups")) {
		asked = append(asked, items(at(group, "Parameters"))...)
	}
	parameters, _ := t["Parameters"].(map[string]any)
	if len(asked) != len(parameters) {
		say("%d parameters are asked for, and there are %d", len(asked), len(parameters))
	}
	for _, name := range asked {
		p := parameters[fmt.Sprint(name)]
		bounded := at(p, "AllowedPattern") != nil || len(items(at(p, "AllowedValues"))) > 0 || at(p, "MinValue") != nil &&
			at(p, "MaxValue") != nil
		if at(p, "Type") == nil || at(p, "Description") == nil || !bounded ||
			at(form, "ParameterLabels", fmt.Sprint(name)) == nil {
			say("parameter %v is not described, bounded or labelled", name)
		}
	}
	var clouds []string
	for cloud := range m365.Clouds() {
		clouds = append(clouds, string(cloud))
	}
	for _, c := range items(at(parameters["Cloud"], "AllowedValues")) {
		if !slices.Contains(clouds, fmt.Sprint(c)) {
			say("there is no cloud %v", c)
		}
	}
	if len(items(at(parameters["Cloud"], "AllowedValues"))) != len(clouds) {
		say("some of the clouds %q cannot be chosen", clouds)
	}
	settings := []any{string(enrich.All), string(enrich.Outgoing), string(enrich.None)}
	if got := items(at(parameters["Hashes"], "AllowedValues")); !reflect.DeepEqual(got, settings) {
		say("what is hashed can be chosen from %v, and the code knows %v", got, settings)
	}
	return problems
}

// checkReferences checks that everything that the template refers to exists. GetAtt and Ref may also name what SAM or
// AWS creates, such as AWS::Region.
func checkReferences(t template) []string {
	var problems []string
	parameters, _ := t["Parameters"].(map[string]any)
	resources, _ := t["Resources"].(map[string]any)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			name := refers(v)
			if name != "" && !strings.HasPrefix(name, "AWS::") && at(parameters[name], "Type") == nil &&
				at(resources[name], "Type") == nil {
				problems = append(problems, name+" is referred to, and is not there")
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(map[string]any(t))
	return problems
}
