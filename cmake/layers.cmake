# Sources come by folder, with the folders in it: a new file bus/handle_x.c needs no line here.
# CONFIGURE_DEPENDS makes the build look again by itself.

# allocd_sources(VARIABLE PATTERN... [EXCEPT PATTERN...]): the files of the patterns, less those of
# the patterns after EXCEPT.
function(allocd_sources variable)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "EXCEPT")
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${arg_UNPARSED_ARGUMENTS})
    if(arg_EXCEPT)
        file(GLOB_RECURSE excepted CONFIGURE_DEPENDS ${arg_EXCEPT})
        list(REMOVE_ITEM sources ${excepted})
    endif()
    set(${variable} ${sources} PARENT_SCOPE)
endfunction()

# allocd_library(NAME PATTERN... [EXCEPT PATTERN...]): one layer as a static library.
function(allocd_library name)
    allocd_sources(sources ${ARGN})
    add_library(${name} STATIC ${sources})
endfunction()
