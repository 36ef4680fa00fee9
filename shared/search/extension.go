package search

import (
	"strings"
	"sync"

	"github.com/mailtrail/mailtrail/shared/forensic"
)

// fileType is what a file's extension says of it: Incydr's file category, and the MIME type, "" when it is not known.
type fileType struct{ category, mime string }

// fileKind is what the name's extension says.
func fileKind(name string) fileType {
	if t, ok := fileTypes()[forensic.Extension(name)]; ok {
		return t
	}
	return fileType{category: "Uncategorized"}
}

var fileTypes = sync.OnceValue(func() map[string]fileType {
	types := make(map[string]fileType)
	for category, extensions := range categories() {
		for _, e := range strings.Fields(extensions) {
			ext, mime, _ := strings.Cut(e, "=")
			types[ext] = fileType{category, mime}
		}
	}
	return types
})

// categories lists extensions by Incydr's category, each with its MIME type.
func categories() map[string]string {
	return map[string]string{
		"Archive": `zip=application/zip 7z=application/x-7z-compressed rar=application/vnd.rar tar=application/x-tar gz=application/gzip
		tgz=application/gzip bz2=application/x-bzip2 xz=application/x-xz zst=application/zstd cab=application/vnd.ms-cab-compressed
		jar=application/java-archive arj=application/x-arj lzh=application/x-lzh-compressed z=application/x-compress`,
		"Audio": `mp3=audio/mpeg wav=audio/wav m4a=audio/mp4 aac=audio/aac flac=audio/flac ogg=audio/ogg wma=audio/x-ms-wma
		aiff=audio/aiff mid=audio/midi amr=audio/amr opus=audio/opus`,
		"Document": `doc=application/msword dot=application/msword docm=application/vnd.ms-word.document.macroEnabled.12
		docx=application/vnd.openxmlformats-officedocument.wordprocessingml.document
		dotx=application/vnd.openxmlformats-officedocument.wordprocessingml.template
		odt=application/vnd.oasis.opendocument.text rtf=application/rtf txt=text/plain md=text/markdown log=text/plain
		pages=application/vnd.apple.pages wpd=application/vnd.wordperfect xps=application/vnd.ms-xpsdocument
		epub=application/epub+zip msg=application/vnd.ms-outlook eml=message/rfc822 html=text/html htm=text/html mht=message/rfc822
		one=application/onenote vsd=application/vnd.visio vsdx=application/vnd.ms-visio.drawing ics=text/calendar vcf=text/vcard
		xml=application/xml json=application/json yaml=application/yaml yml=application/yaml`,
		"Executable": `exe=application/vnd.microsoft.portable-executable dll=application/vnd.microsoft.portable-executable
		msi=application/x-msi app= apk=application/vnd.android.package-archive com=application/x-dosexec scr=application/x-dosexec
		deb=application/vnd.debian.binary-package rpm=application/x-rpm pkg= bin=application/octet-stream elf=application/x-elf sys=`,
		"Image": `jpg=image/jpeg jpeg=image/jpeg png=image/png gif=image/gif bmp=image/bmp tif=image/tiff tiff=image/tiff
		svg=image/svg+xml webp=image/webp heic=image/heic heif=image/heif ico=image/vnd.microsoft.icon psd=image/vnd.adobe.photoshop
		ai=application/postscript eps=application/postscript raw= dwg=image/vnd.dwg dxf=image/vnd.dxf emf=image/emf wmf=image/wmf`,
		"Pdf": `pdf=application/pdf`,
		"Presentation": `ppt=application/vnd.ms-powerpoint pps=application/vnd.ms-powerpoint pot=application/vnd.ms-powerpoint
		pptx=application/vnd.openxmlformats-officedocument.presentationml.presentation
		ppsx=application/vnd.openxmlformats-officedocument.presentationml.slideshow
		potx=application/vnd.openxmlformats-officedocument.presentationml.template
		pptm=application/vnd.ms-powerpoint.presentation.macroEnabled.12
		odp=application/vnd.oasis.opendocument.presentation key=application/vnd.apple.keynote`,
		"Script": `bat=application/x-bat cmd=application/x-bat ps1=text/plain psm1=text/plain sh=application/x-sh bash=application/x-sh
		vbs=text/vbscript vbe= wsf= js=text/javascript mjs=text/javascript pl=text/x-perl lua=text/x-lua awk= applescript=`,
		"SourceCode": `c=text/x-c h=text/x-c cpp=text/x-c++ cc=text/x-c++ hpp=text/x-c++ cs=text/x-csharp go=text/x-go java=text/x-java
		kt=text/x-kotlin py=text/x-python rb=text/x-ruby php=text/x-php rs=text/x-rust swift=text/x-swift scala=text/x-scala
		ts=text/x-typescript tsx=text/x-typescript jsx=text/javascript m=text/x-objective-c r=text/x-r sql=application/sql
		css=text/css scss=text/x-scss vue= tf= proto= ipynb=application/x-ipynb+json class=application/java-vm asm=text/x-asm`,
		"Spreadsheet": `xls=application/vnd.ms-excel xlt=application/vnd.ms-excel
		xlsx=application/vnd.openxmlformats-officedocument.spreadsheetml.sheet
		xltx=application/vnd.openxmlformats-officedocument.spreadsheetml.template
		xlsm=application/vnd.ms-excel.sheet.macroEnabled.12 xlsb=application/vnd.ms-excel.sheet.binary.macroEnabled.12
		ods=application/vnd.oasis.opendocument.spreadsheet csv=text/csv tsv=text/tab-separated-values
		numbers=application/vnd.apple.numbers`,
		"Video": `mp4=video/mp4 m4v=video/x-m4v mov=video/quicktime avi=video/x-msvideo mkv=video/x-matroska wmv=video/x-ms-wmv
		webm=video/webm mpg=video/mpeg mpeg=video/mpeg flv=video/x-flv 3gp=video/3gpp`,
		"VirtualDiskImage": `iso=application/x-iso9660-image img=application/x-raw-disk-image dmg=application/x-apple-diskimage
		vhd=application/x-vhd vhdx=application/x-vhdx vmdk=application/x-vmdk vdi=application/x-vdi ova=application/x-tar
		ovf=application/xml qcow2=application/x-qemu-disk`,
	}
}
