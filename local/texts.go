package main

// The texts that a start prints. They are read by people who meet Mailtrail for the first time.
const (
	companyText = `
Mailtrail is running, and has found the first attachments. To connect a tenant of your own, see docs/connect.md.
{{with .People}}
  {{.People}} people are in the tenant: {{index .ByCoverage "monitored"}} are monitored, ` +
		`{{index .ByCoverage "noLicence"}} lack the licence, {{index .ByCoverage "disabled"}} are disabled, ` +
		`and {{index .ByCoverage "noMailbox"}} have no mailbox
  (GET /v1/connections/{{.Connection}}/people says who, and why).
{{end}}`

	recordsText = `
Mailtrail is running, and has read {{.Records.File}} ({{.Records.Form}}):
  {{.Records.Records}} records; sends of mail with attachments among them: {{.Records.Sends}}{{if not .Records.Sends}}
  (a send is a record whose Operation is Send, SendAs or SendOnBehalf and whose Item has Attachments){{end}}
  {{.Records.Messages}} different messages with {{.Records.Events}} attachments, which can be searched
  left out: {{.Records.Repeated}} repeated, {{.Records.Noise}} sharing notifications, ` +
		`{{.Records.Rejected}} that lack what a record must have
  {{.Records.Unreadable}} line{{if ne .Records.Unreadable 1}}s{{end}} could not be read{{range .Records.Problems}}
    line {{.Line}}: {{.Reason}}{{end}}
`

	realText = `
Mailtrail is running on {{.Listens}}, and talks to Microsoft. Add a connection, and give the address in the
answer to an administrator of the tenant (docs/connect.md has the command).
`

	// commonText ends each. The first command is the line to paste: it reads the secret from its file, so that it works at
	// every start.
	commonText = `
  Page       {{.Console}}   (what can be asked)
  API        {{.API}}   (as Incydr's clients call it; described by {{.API}}/v1/openapi.json){{if .Control}}
  Simulator  {{.Control}}   (turns its audit log off, throttles, breaks; lists the requests it got){{end}}
{{- if .ShowSecret}}
  Client     {{.ClientID}}   (an administrator and analyst)
  Secret     {{.ClientSecret}}   (printed this once; {{.ClientFile}} holds it, readable by you alone)
{{- else if .ClientSecret}}
  Client     {{.ClientID}}   (its secret is in {{.ClientFile}}, readable by you alone)
{{- else}}
  Client     none: the first one was removed. To add one:
             {{.Command}} --data {{.Data}} client add NAME --role admin --role analyst
{{- end}}
  Data       {{.Data}}   (this summary for programs: {{.RunFile}}; the log: {{.Log}})
{{if .ClientSecret}}
The newest file events{{if not .Records}} whose recipients and hashes are known{{end}} (one line to paste):

curl -s {{.API}}/v2/file-events -H "Authorization: Bearer $(curl -s -X POST -u "$(cat {{.Quoted}})" {{.API}}/v1/oauth | sed 's/.*"access_token":"\([^"]*\)".*/\1/')" -H 'Content-Type: application/json' -d '{"groups":[{"filters":[{"term":"event.observer","operator":"IS","value":"Office365"}{{if not .Records}},{"term":"event.enriched","operator":"EXISTS"}{{end}}]}],"pgSize":5,"srtKey":"@timestamp","srtDir":"desc"}'
{{end}}
Ctrl-C ends it; the next start goes on where this one stopped. "{{.Command}} --help" lists the commands.
`
)
