import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parsePlist } from '../../../src/binary/plist.js'
import { root } from '../../support/cli.js'

test('a property list is read, and what is none is refused', () => {
  const wrap = (value: string): string =>
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" ' +
    `"http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n<plist version="1.0">${value}</plist>\n`
  assert.deepEqual(
    parsePlist(
      wrap(
        '<dict><key>a &amp; b</key><array><integer>-1</integer><real>1.5</real><true/><false></false><string/>' +
          '<dict/><data>\nAA==</data></array><!-- c --><key>__proto__</key><string>&#65;&#x42;&lt;</string></dict>',
      ),
    ),
    Object.fromEntries([
      ['a & b', [-1, 1.5, true, false, '', {}, '\nAA==']],
      ['__proto__', 'AB<'],
    ]),
  )
  const good = readFileSync(join(root, 'test/support/tool-output/darwin/list.plist'), 'utf8')
  for (const text of [
    '',
    'no',
    wrap(''),
    wrap('<dict><string>a</string></dict>'),
    wrap('<dict><key>a</key></dict>'),
    wrap('<string>a<b/></string>'),
    wrap('text'),
    wrap('<what/>'),
    wrap('<array>'.repeat(1000)),
    wrap('</dict>'),
    wrap('<string>&unknown;</string>'),
    wrap('<integer>x</integer>'),
  ]) {
    assert.throws(() => parsePlist(text), SyntaxError, text.slice(0, 200))
  }
  // Cut off anywhere: refused, or (behind the last value) whole.
  for (let length = 0; length < good.trimEnd().length; length += 7)
    assert.throws(() => parsePlist(good.slice(0, length)), SyntaxError)
})
