// Before anything is imported that loads libraries.
process.env['VDISK_NO_NATIVE_CODECS'] = '1'
const { testDamagedCompressed } = await import('../support/damaged-compressed.js')

testDamagedCompressed('JavaScript and Node')
