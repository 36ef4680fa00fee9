package forensic

import (
	"slices"
	"strings"
)

// Reach is how far a recipient is from the company.
type Reach string

const (
	Internal Reach = "internal"
	External Reach = "external"
	Webmail  Reach = "webmail" // external, and by its domain somebody's private mailbox
)

// ReachOf returns how far away an address is, given the company's own domains in lower case. An address without a
// domain is a name in the company's own directory. A domain that is both the company's own and a webmail's is
// internal.
func ReachOf(address string, own []string) Reach {
	domain := Domain(address)
	switch {
	case domain == "", slices.Contains(own, domain):
		return Internal
	case IsWebmail(domain):
		return Webmail
	}
	return External
}

// IsWebmail reports whether a domain, in lower case, is one where people have private mailboxes.
func IsWebmail(domain string) bool {
	if isPrivate(domain) {
		return true
	}
	// Some providers offer the same mailbox in many countries: yahoo.fr, yahoo.co.uk.
	provider, rest, _ := strings.Cut(domain, ".")
	switch provider {
	case "yahoo", "hotmail", "outlook", "live", "gmx":
		return country(rest)
	}
	return false
}

// country reports whether s is a country's part of a domain: fr, co.uk, com.br.
func country(s string) bool {
	first, last, two := strings.Cut(s, ".")
	if !two {
		return len(s) == 2
	}
	return (first == "co" || first == "com") && len(last) == 2
}

// isPrivate lists the domains of private mailboxes: of webmail, of access providers, and of forwarding addresses.
func isPrivate(domain string) bool {
	switch domain {
	case "10minutemail.com", "126.com", "139.com", "163.com", "189.cn", "21cn.com", "abv.bg", "aim.com", "alice.it",
		"aliyun.com", "anonaddy.com", "aol.com", "arcor.de", "att.net", "bellsouth.net", "bigpond.com",
		"bigpond.net.au", "bk.ru", "bluewin.ch", "blueyonder.co.uk", "bol.com.br", "btinternet.com", "centrum.cz",
		"charter.net", "cock.li", "comcast.net", "consultant.com", "cox.net", "daum.net", "disroot.org", "duck.com",
		"earthlink.net", "email.com", "email.cz", "fastmail.com", "fastmail.fm", "foxmail.com", "free.fr",
		"freenet.de", "frontier.com", "globo.com", "gmail.com", "gmx.com", "gmx.net", "googlemail.com",
		"guerrillamail.com", "hanmail.net", "hispeed.ch", "home.nl", "hotmail.com", "hush.com", "hushmail.com",
		"i.ua", "icloud.com", "ig.com.br", "inbox.com", "inbox.ru", "interia.pl", "internet.ru", "juno.com",
		"kakao.com", "keemail.me", "kpnmail.nl", "laposte.net", "libero.it", "list.ru", "live.com", "mac.com",
		"mail.com", "mail.de", "mail.ru", "mailbox.org", "mailfence.com", "mailinator.com", "me.com", "mozmail.com",
		"msn.com", "myyahoo.com", "nate.com", "naver.com", "neuf.fr", "ntlworld.com", "o2.pl", "onet.pl",
		"optonline.net", "optusnet.com.au", "orange.fr", "outlook.com", "passport.com", "planet.nl", "pm.me",
		"posteo.de", "posteo.net", "privaterelay.appleid.com", "proton.me", "protonmail.ch", "protonmail.com",
		"qq.com", "rambler.ru", "rediffmail.com", "riseup.net", "rocketmail.com", "rogers.com", "runbox.com",
		"sbcglobal.net", "seznam.cz", "sfr.fr", "sharklasers.com", "shaw.ca", "sify.com", "simplelogin.com",
		"sina.cn", "sina.com", "sky.com", "skynet.be", "sohu.com", "startmail.com", "sympatico.ca", "t-online.de",
		"talktalk.net", "telenet.be", "telstra.com", "temp-mail.org", "terra.com.br", "tin.it", "tiscali.it",
		"tuta.com", "tuta.io", "tutamail.com", "tutanota.com", "tutanota.de", "ukr.net", "uol.com.br", "usa.com",
		"verizon.net", "videotron.ca", "vip.qq.com", "virgilio.it", "virginmedia.com", "walla.co.il", "walla.com",
		"wanadoo.fr", "web.de", "wp.pl", "xs4all.nl", "ya.ru", "yahoo.com", "yandex.com", "yandex.ru", "yeah.net",
		"ymail.com", "yopmail.com", "ziggo.nl", "zoho.com", "zohomail.com", "zohomail.eu":
		return true
	}
	return false
}
