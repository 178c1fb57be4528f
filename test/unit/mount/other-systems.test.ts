import assert from 'node:assert/strict'
import test from 'node:test'
import { hdiutilAttach, hdiutilDetach, parseHdiutil } from '../../../src/mount/hdiutil.js'
import {
  dismountDiskImageScript,
  mountDiskImageScript,
  parseAttachedDisks,
} from '../../../src/mount/mount-disk-image.js'

/** In the form that hdiutil prints (its manual page, and what others have published of its output). */
const attached = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>system-entities</key>
	<array>
		<dict>
			<key>content-hint</key>
			<string>Apple_HFS</string>
			<key>dev-entry</key>
			<string>/dev/disk4s2</string>
			<key>mount-point</key>
			<string>/Volumes/A &amp; B</string>
			<key>potentially-mountable</key>
			<true/>
			<key>unmapped-content-hint</key>
			<string>48465300-0000-11AA-AA11-00306543ECAC</string>
		</dict>
		<dict>
			<key>content-hint</key>
			<string>GUID_partition_scheme</string>
			<key>dev-entry</key>
			<string>/dev/disk4</string>
			<key>potentially-mountable</key>
			<false/>
		</dict>
	</array>
</dict>
</plist>
`

test('what hdiutil attached is read from its property list, the whole disk first', () => {
  assert.deepEqual(parseHdiutil(attached), [
    { device: '/dev/disk4', content: 'GUID_partition_scheme' },
    { device: '/dev/disk4s2', content: 'Apple_HFS', mountPoint: '/Volumes/A & B' },
  ])
  for (const nothing of [
    '',
    'hdiutil: attach failed - image not recognized',
    '<plist version="1.0"><dict/></plist>',
    '<plist><dict><key>system-entities</key><string>x</string></dict></plist>',
  ]) {
    assert.deepEqual(parseHdiutil(nothing), [])
  }
  assert.deepEqual(
    parseHdiutil(attached.replace('/dev/disk4<', '/dev/disk4; rm -rf /<')).map(({ device }) => device),
    ['/dev/disk4s2'],
  )
})

test('what is cut off attaches nothing, or what is whole of it, and never fails', () => {
  for (let cut = 0; cut < attached.length; cut += 7)
    assert.ok(parseHdiutil(attached.slice(0, cut)).length <= parseHdiutil(attached).length)
})

test('the parameters for hdiutil keep changes apart when they are asked to', () => {
  assert.deepEqual(hdiutilAttach('a.raw', { readOnly: true }), [
    'attach',
    '-plist',
    '-nomount',
    '-imagekey',
    'diskimage-class=CRawDiskImage',
    '-readonly',
    'a.raw',
  ])
  assert.deepEqual(hdiutilAttach('a.raw', { readOnly: false, shadow: 's' }).slice(-3), ['-shadow', 's', 'a.raw'])
  assert.deepEqual(hdiutilDetach('/dev/disk4', true), ['detach', '-force', '/dev/disk4'])
})

test('Windows: the script quotes every path, and one disk or several are read', () => {
  assert.match(
    mountDiskImageScript("C:\\it's here\u2019\\a.vhdx", 'vhdx', true) ?? '',
    /-ImagePath 'C:\\it''s here\u2019\u2019\\a\.vhdx' -StorageType VHDX -Access ReadOnly /,
  )
  assert.equal(mountDiskImageScript('a.qcow2', 'qcow2', true), undefined)
  assert.equal(dismountDiskImageScript('a.vhd'), "Dismount-DiskImage -ImagePath 'a.vhd'")
  const disk = { Number: 3, Path: '\\\\?\\scsi#disk&ven_msft', Size: 41943040, IsReadOnly: true }
  const expected = { number: 3, path: disk.Path, size: 41943040, readOnly: true }
  assert.deepEqual(parseAttachedDisks(`\ufeff${JSON.stringify(disk, null, 4)}\r\n`), [expected])
  assert.deepEqual(parseAttachedDisks(JSON.stringify([disk, { ...disk, Number: 4 }])), [
    expected,
    { ...expected, number: 4 },
  ])
  for (const nothing of ['', 'Mount-DiskImage : Access is denied.', 'null', '[1, {"Number": "3"}]'])
    assert.deepEqual(parseAttachedDisks(nothing), [])
})
