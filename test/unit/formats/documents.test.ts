import assert from 'node:assert/strict'
import { test } from 'node:test'
import { otherFile } from '../../../src/formats/documents.js'

const bytes = (text: string): Uint8Array => Buffer.concat([Buffer.from(text, 'latin1'), Buffer.alloc(512, 0xa5)])

test('files of other kinds by their first bytes', () => {
  for (const [start, name] of [
    ['%PDF-1.7\n', /PDF/],
    ['\x89PNG\r\n\x1a\n', /PNG/],
    ['\xff\xd8\xff\xe0\0\x10JFIF', /JPEG/],
    ['GIF89a', /GIF/],
    ['\0\0\0\x20ftypisom', /video/],
    ['RIFF\x10\0\0\0WAVEfmt ', /WAV/],
    ['\x7fELF\x02\x01\x01', /program/],
    ['!<arch>\ndebian-binary', /Debian/],
    ['\xed\xab\xee\xdb\x03', /RPM/],
    ['070701', /cpio/],
    ['xar!\0\x1c\0\x01', /xar/],
    // As cpio -o writes it: mark, device, inode, kind, …, length of the name.
    [`\xc7\x71\x01\xfe\x02\0\xa4\x81${'\0'.repeat(12)}\x05\0\x0a\0\0\0disk\0\0`, /cpio/],
    [`\x71\xc7\xfe\x01\0\x02\x81\xa4${'\0'.repeat(12)}\0\x05\0\x0a\0\0disk\0\0`, /cpio/],
    ['MSCF\0\0\0\0', /cabinet/],
    ['SQLite format 3\0', /SQLite/],
    ['\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', /Office/],
    ['d8:announce35:', /torrent/],
    ['age-encryption.org/v1\n', /age/],
    ['-----BEGIN PGP MESSAGE-----', /PGP/],
    ['version https://git-lfs.github.com/spec/v1\noid', /Git LFS/],
    ['<!DOCTYPE html>\n<html>', /HTML/],
    ['\n <HTML lang="en">', /HTML/],
    ['\xef\xbb\xbf<?xml version="1.0"?><Error>', /XML/],
    ['<?xml version="1.0"?>\n<VirtualBox xmlns', /VirtualBox/],
    ['.encoding = "UTF-8"\nconfig.version = "8"', /VMware/],
    [`MZ${'\0'.repeat(58)}\x40\0\0\0PE\0\0`, /Windows/],
  ] as const)
    assert.match(otherFile(bytes(start))?.name ?? '', name, start)
})

test('what a disk may begin with is none of them', () => {
  for (const start of [
    // Boot code that happens to begin as a DOS program does, jumps of boot sectors, LUKS, BitLocker, swap.
    'MZ\0\0',
    '\xeb\x58\x90MSDOS5.0',
    '\xeb\x52\x90NTFS    ',
    '\xeb\x63\x90',
    '\x33\xc0\x8e\xd0',
    '\xeb\x58\x90-FVE-FS-',
    'LUKS\xba\xbe\0\x02',
    '\xff\xd8\xff\0',
    // The mark of cpio alone: no name ends where it should.
    `\xc7\x71\x01\xfe\x02\0\xa4\x81${'\0'.repeat(12)}\x06\0\x0a\0\0\0disk\0\0`,
    '\xc7\x71\0\0',
    'hsqs',
    '\0\0\0\0',
    '',
  ])
    assert.equal(otherFile(bytes(start)), undefined, start)
  for (let length = 0; length < 70; length++) otherFile(Buffer.from('MZ'.repeat(35)).subarray(0, length))
})
