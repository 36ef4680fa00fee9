package main

// The texts that a start prints. They are read by people who meet Mailtrail for the first time.
const (
	companyText = `
Mailtrail is running. It simulates a Microsoft 365 tenant whose people mail attachments all day, has been let in by its
administrator, and follows its audit log. To connect a tenant of your own, see "A real tenant" in README.md.
{{with .People}}
  {{.People}} people are in the tenant: {{index .ByCoverage "monitored"}} are monitored, {{index .ByCoverage "noLicence"}} lack the licence, {{index .ByCoverage "disabled"}} are disabled, {{index .ByCoverage "noMailbox"}} have no mailbox
  (who, and why: GET /v1/connections/{{.Connection}}/people)
{{end}}`

	recordsText = `
Mailtrail is running, and has read {{.Records.File}} ({{.Records.Form}}):
  {{.Records.Records}} records, {{.Records.Sends}} of them sends of mail with attachments{{if not .Records.Sends}}
  (a send is a record whose Operation is Send, SendAs or SendOnBehalf and whose Item has Attachments){{end}}
  {{.Records.Messages}} different messages with {{.Records.Events}} attachments can be searched
  {{.Records.Repeated}} sends were repeated, {{.Records.Noise}} were sharing notifications, {{.Records.Rejected}} lacked what a record must have
  {{.Records.Unreadable}} line{{if ne .Records.Unreadable 1}}s{{end}} could not be read{{range .Records.Problems}}
    line {{.Line}}: {{.Reason}}{{end}}
`

	realText = `
Mailtrail is running on {{.Listens}}, and talks to Microsoft. Add a connection, and give the address that comes back to an administrator of the
tenant ("A real tenant" in README.md has the command).
`

	// commonText ends each. The first command is the line to paste.
	commonText = `
  Page       {{.Console}}   (what can be asked; the pages for consent are reached by the links that connections are given)
  Health     {{.API}}/healthz
  API        {{.API}}   (Forensic Search: POST /v2/file-events, as Incydr's clients call it; connections: /v1/connections){{if .Control}}
  Simulator  {{.Control}}   (control door: turn the audit log off, throttle, break, look at requests){{end}}
  Client     {{.ClientID}}
  Secret     {{.ClientSecret}}
  Data       {{.Data}}   (this summary as JSON: {{.RunFile}})

The newest file events{{if not .Records}} whose recipients and hashes are known{{end}} (one line to paste):

curl -s {{.API}}/v2/file-events -H "Authorization: Bearer $(curl -s -X POST -u '{{.ClientID}}:{{.ClientSecret}}' {{.API}}/v1/oauth | sed 's/.*"access_token":"\([^"]*\)".*/\1/')" -H 'Content-Type: application/json' -d '{"groups":[{"filters":[{"term":"event.observer","operator":"IS","value":"Office365"}{{if not .Records}},{"term":"event.enriched","operator":"EXISTS"}{{end}}]}],"pgSize":5,"srtKey":"@timestamp","srtDir":"desc"}'

Ctrl-C ends it; the next start goes on where this one stopped.
`
)
